"""The files that a server is started with, as `str.format` fills them in."""

BATCHING = """\
# Measured on a machine with {cores} cores, clips/s by batch size: {rates}.
max_batch_size {{ value: {largest_request} }}
enable_large_batch_splitting {{ value: true }}
max_execution_batch_size {{ value: {batch_size} }}
batch_timeout_micros {{ value: {wait_microseconds} }}
# A batch takes all cores: the second one lets short requests pass a long video.
num_batch_threads {{ value: {threads} }}
max_enqueued_batches {{ value: {waiting_batches} }}
# Padding would add pixels to the smaller of two clips, and frames to the shorter of two videos, without a word.
pad_variable_length_inputs: false
"""

MODELS = """\
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    # The newest version alone; the one before it serves until the new one is warm.
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
}}
"""

MONITORING = """\
prometheus_config {{
  enable: true
  path: "/monitoring/prometheus/metrics"
}}
"""

ARGUMENTS = """\
- --port=8500
- --rest_api_port=8501
- --model_config_file=/models/{name}/models.config
- --monitoring_config_file=/models/{name}/monitoring.config
- --enable_batching=true
- --batching_parameters_file=/models/{name}/batching_params.pbtxt
# A video of some minutes is one request: minutes to compute, and more than gRPC's usual 4 MB.
- --rest_api_timeout_in_ms={timeout_milliseconds}
- --grpc_channel_arguments=grpc.max_receive_message_length=268435456
- --file_system_poll_wait_seconds=1
"""

COMPOSE = """\
# docker compose up; then: r3d client --server=localhost:8501 --model_name={name} VIDEO...
name: "{project}"
services:
  "{name}":
    image: {image}  # {image}-gpu for GPUs
    restart: unless-stopped
    ports:
      - "8500:8500"  # gRPC
      - "8501:8501"  # REST, and /monitoring/prometheus/metrics
    volumes:
      - .:/models/{name}:ro
    entrypoint: /usr/bin/tensorflow_model_server
    command:
{compose_arguments}
    healthcheck:  # the image has no curl
      test:
        - CMD
        - bash
        - -c
        - 'exec 3<>/dev/tcp/127.0.0.1/8501;
          printf "GET /v1/models/{name} HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n" >&3;
          grep -q AVAILABLE <&3'
      interval: 10s
      timeout: 5s
      start_period: {start_seconds}s
    deploy:
      resources:
        limits:
          memory: {memory}M  # {memory_reason}
        # reservations: {{devices: [{{driver: nvidia, count: all, capabilities: [gpu]}}]}}  # for GPUs
"""

KUBERNETES = """\
# kubectl apply -f kubernetes.yaml; the volume of the claim "{label}" holds this folder: versions and files beside them.
# For GPUs: image {image}-gpu, and nvidia.com/gpu: 1 beside the limit of memory.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: "{label}"
  labels: {{app: "{label}"}}
spec:
  selector:
    matchLabels: {{app: "{label}"}}
  template:
    metadata:
      labels: {{app: "{label}"}}
    spec:
      containers:
        - name: "{label}"
          image: {image}
          command: [/usr/bin/tensorflow_model_server]
          args:
{kubernetes_arguments}
            # Threads for the cores of the limit: by itself TensorFlow takes as many as the whole machine has cores.
            - --tensorflow_intra_op_parallelism={cores}
            - --tensorflow_inter_op_parallelism={cores}
          ports:
            - {{name: grpc, containerPort: 8500}}
            - {{name: rest, containerPort: 8501}}
          startupProbe:
            httpGet: {{path: "/v1/models/{name}", port: rest}}
            periodSeconds: 5
            failureThreshold: {start_attempts}
          readinessProbe:
            httpGet: {{path: "/v1/models/{name}", port: rest}}
            timeoutSeconds: 5
          livenessProbe:
            tcpSocket: {{port: grpc}}
            timeoutSeconds: 5
          resources:
            requests: {{cpu: {cores}, memory: {memory}Mi}}
            limits: {{cpu: {cores}, memory: {memory}Mi}}  # {memory_reason}
          volumeMounts:
            - {{name: models, mountPath: "/models/{name}", readOnly: true}}
      volumes:
        - name: models
          persistentVolumeClaim: {{claimName: "{label}", readOnly: true}}
---
apiVersion: v1
kind: Service
metadata:
  name: "{label}"
  labels: {{app: "{label}"}}
spec:
  selector: {{app: "{label}"}}
  ports:
    - {{name: grpc, port: 8500, targetPort: grpc}}
    - {{name: rest, port: 8501, targetPort: rest}}
"""
