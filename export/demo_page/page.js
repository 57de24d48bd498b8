// The page: sends a video, an example or pictures of the camera, and shows the answer. Text goes in as text, never as HTML.
const part = (id) => document.getElementById(id);
const video = part("video");
const timeline = part("timeline");
const COLORS = ["#1667c2", "#d9541e", "#2a9d5c", "#a449b8", "#c79a00", "#5f7a8a"];
const percent = (score) => `${(100 * score).toFixed(1)}%`;

const model = await (await fetch("model")).json();
let asking = new AbortController(); // of what was chosen last: what was chosen before is not shown any more
let duration = 1;
let curves = null; // of the answer that is shown: step in seconds, labels, scores of each
let ownAddress = null; // of a video that this page holds

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// On a phone the answer is below the choice.
function showAnswer() {
  if (part("answer").getBoundingClientRect().top > 0.6 * innerHeight) part("answer").scrollIntoView();
}

function tell(text, kind = "") {
  part("status").textContent = text;
  part("status").className = kind;
}

// ---- What was chosen --------------------------------------------------------------------------------------------------

function begin() {
  asking.abort();
  asking = new AbortController();
  stopCamera();
  part("shown").hidden = true;
  part("now").textContent = "";
  curves = null;
  video.removeAttribute("src");
  if (ownAddress) URL.revokeObjectURL(ownAddress);
  ownAddress = null;
  for (const button of part("examples").children) button.ariaPressed = "false";
  return asking.signal;
}

async function ask(name, address, body, ownVideo) {
  const signal = begin();
  if (body && body.size > model.max_megabytes * 2 ** 20) {
    return tell(`${name}: it is larger than ${model.max_megabytes} MB, the most that this page takes`, "wrong");
  }
  tell(`Looking at ${name} ...`, "busy");
  showAnswer();
  try {
    const response = await fetch(address, { method: "POST", body, signal });
    if (!response.ok) throw new Error(`the server says ${response.status}`);
    const answer = await response.json();
    if (signal.aborted) return;
    if (answer.error) return tell(`${name}: ${answer.error}`, "wrong");
    await showVideo(answer.video, ownVideo, signal);
    if (!signal.aborted) show(name, answer);
  } catch (error) {
    if (!signal.aborted) tell(`${name}: no answer (${error.message}). Is the command still running?`, "wrong");
  }
}

async function showVideo(address, ownVideo, signal) {
  if (address?.startsWith("copies/")) {
    // A copy is given once, so the page keeps it.
    ownVideo = await (await fetch(address, { signal })).blob();
  }
  if (signal.aborted) return;
  if (ownVideo) ownAddress = URL.createObjectURL(ownVideo);
  video.src = ownAddress ?? address;
  video.controls = true;
}

function chooseFile(file) {
  if (file) ask(file.name, "videos", file, file);
}

part("file").addEventListener("change", (event) => {
  chooseFile(event.target.files[0]);
  event.target.value = ""; // so that the same file can be chosen again
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    part("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") chooseFile(event.dataTransfer.files[0]);
  });
}

// ---- The answer -------------------------------------------------------------------------------------------------------

function show(name, answer) {
  const folder = answer.folder ? `; its folder is named ${answer.folder}` : "";
  tell(`${name}: ${answer.duration.toFixed(1)} s, ${answer.clips} clip${answer.clips === 1 ? "" : "s"}${folder}`);
  duration = answer.duration;
  part("label").textContent = answer.classes[0].label;
  showClasses(answer.classes);
  curves = answer.timeline;
  drawTimeline(curves);
  drawSurest(answer.surest, answer.classes[0].label);
  part("notes").replaceChildren(...answer.notes.map((note) => element("li", { textContent: note })));
  part("timeline-part").hidden = part("surest-part").hidden = false;
  part("shown").hidden = false;
  showAnswer();
  video.play().catch(() => {}); // a browser may want a click first
}

function showClasses(classes) {
  const rows = classes.map(({ label, score }) =>
    element(
      "li",
      {},
      element("span", { textContent: label }),
      element("meter", { value: score, ariaLabel: label }),
      element("span", { textContent: percent(score) }),
    ),
  );
  part("classes").replaceChildren(...rows);
}

function shape(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function drawTimeline({ step, labels, scores }) {
  timeline.setAttribute("viewBox", `0 -0.03 ${duration} 1.06`);
  const lines = scores.map((row, index) => {
    const ends = row.map((score, place) => [place * step, Math.min((place + 1) * step, duration), 1 - score]);
    const points = ends.flatMap(([start, end, height]) => [`${start},${height}`, `${end},${height}`]);
    return shape("polyline", { points: points.join(" "), stroke: COLORS[index] });
  });
  const cursor = shape("line", { id: "cursor", x1: 0, x2: 0, y1: -0.03, y2: 1.03 });
  timeline.replaceChildren(...lines.reverse(), cursor); // the best class on top
  part("end").textContent = `${duration.toFixed(1)} s`;
  const names = labels.map((label, index) => {
    const mark = element("i");
    mark.style.background = COLORS[index];
    return element("li", {}, mark, label);
  });
  part("legend").replaceChildren(...names);
}

function followVideo() {
  requestAnimationFrame(followVideo);
  if (!curves) return;
  const time = Math.min(video.currentTime, duration);
  for (const end of ["x1", "x2"]) part("cursor").setAttribute(end, time);
  const { step, labels, scores } = curves;
  const here = scores.map((row) => row[Math.min(Math.floor(time / step), row.length - 1)]);
  const best = here.indexOf(Math.max(...here));
  part("now").textContent = `now ${labels[best]} ${percent(here[best])}`;
}

timeline.addEventListener("click", (event) => {
  const { left, width } = timeline.getBoundingClientRect();
  video.currentTime = ((event.clientX - left) / width) * duration;
});

async function drawSurest(surest, label) {
  const where = `${surest.begin.toFixed(2)} to ${surest.end.toFixed(2)} s, ${percent(surest.score)} ${label}`;
  const how = surest.is_explained ? "; bright below: what speaks for it" : "";
  part("surest-text").textContent = where + how;
  const picture = element("img", { src: surest.picture });
  await picture.decode();
  const width = picture.width / surest.frames;
  const frames = Array.from({ length: surest.frames }, (_, index) => {
    const canvas = element("canvas", { width, height: picture.height });
    canvas.getContext("2d").drawImage(picture, -index * width, 0);
    return canvas;
  });
  part("surest").replaceChildren(...frames);
}

// ---- The camera -------------------------------------------------------------------------------------------------------

const SMOOTHING = 0.6; // part of the scores that are kept when new ones come
let camera = null;

function stopCamera() {
  camera?.getTracks().forEach((track) => track.stop());
  camera = null;
  video.srcObject = null;
  part("camera").textContent = "Use the webcam";
}

async function startCamera() {
  const signal = begin();
  if (!navigator.mediaDevices) {
    return tell("A browser gives its camera only to pages at 127.0.0.1 or localhost, or over https.", "wrong");
  }
  try {
    tell("Waiting for the camera ...", "busy");
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
    if (signal.aborted) return stream.getTracks().forEach((track) => track.stop());
    camera = video.srcObject = stream;
    await video.play();
    if (signal.aborted) return;
  } catch (error) {
    if (!signal.aborted) tell(`No camera: ${error.message}`, "wrong");
    return;
  }
  part("camera").textContent = "Stop the webcam";
  part("timeline-part").hidden = part("surest-part").hidden = true;
  part("notes").replaceChildren();
  part("classes").replaceChildren();
  part("label").textContent = "...";
  part("shown").hidden = false;
  video.controls = false;
  showAnswer();
  watch(signal);
}

async function watch(signal) {
  const frames = [];
  takePictures(frames, signal);
  let smooth = null;
  while (!signal.aborted) {
    const seconds = frames.length && frames.at(-1).time - frames[0].time;
    tell(smooth ? `The last ${model.live.seconds.toFixed(1)} seconds` : "Looking ...", smooth ? "" : "busy");
    if (seconds < 0.9 * model.live.seconds) {
      await new Promise((done) => setTimeout(done, 100));
      continue;
    }
    const newest = frames.at(-1).time;
    const body = JSON.stringify({ frames: frames.map((each) => each.file), times: frames.map((each) => each.time) });
    try {
      const answer = await (await fetch("camera", { method: "POST", body, signal })).json();
      if (answer.error) throw new Error(answer.error);
      const kept = smooth ? SMOOTHING : 0;
      smooth = answer.scores.map((score, index) => kept * (smooth?.[index] ?? 0) + (1 - kept) * score);
    } catch (error) {
      if (!signal.aborted) tell(`The camera: no answer (${error.message})`, "wrong");
      return stopCamera();
    }
    const classes = smooth.map((score, index) => ({ label: model.labels[index], score }));
    classes.sort((one, other) => other.score - one.score);
    part("label").textContent = classes[0].score >= model.threshold ? classes[0].label : "nothing sure";
    showClasses(classes.slice(0, 5));
    part("now").textContent = `${(performance.now() / 1000 - newest).toFixed(2)} s after the newest picture`;
  }
}

function takePictures(frames, signal) {
  const canvas = element("canvas");
  const scale = Math.min(1, model.live.side / Math.min(video.videoWidth, video.videoHeight));
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  const take = () => {
    if (signal.aborted) return clearInterval(timer);
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    const time = performance.now() / 1000;
    frames.push({ time, file: canvas.toDataURL("image/jpeg", 0.9).split(",")[1] });
    while (frames[0].time < time - model.live.seconds) frames.shift();
  };
  const timer = setInterval(take, 1000 / model.live.rate);
}

part("camera").addEventListener("click", () => {
  if (!camera) return startCamera();
  begin();
  tell("");
});

// ---- The start --------------------------------------------------------------------------------------------------------

part("model").textContent = `${model.name}: ${model.labels.length} classes`;
part("limits").textContent = `at most ${model.max_megabytes} MB and ${model.max_seconds} seconds; it stays on this machine`;
model.examples.forEach((name, number) => {
  const picture = element("img", { src: `examples/${number}/picture`, alt: "", loading: "lazy" });
  const words = name.replace(/[/_]/g, "$&\u200b"); // where a line may end
  const button = element("button", { type: "button", ariaPressed: "false" }, picture, words);
  button.addEventListener("click", () => {
    ask(name, `examples/${number}`);
    button.ariaPressed = "true";
  });
  part("examples").append(button);
});
part("example-part").hidden = !model.examples.length;
tell("Choose a video, an example, or the webcam.");
requestAnimationFrame(followVideo);
