// What a page shows grows old by itself: nobody has to tell it that nothing comes any more.
(() => {
  const LIMIT_MS = 5000; // a look at the site comes every second, and says so within 2.5 more where the site does not answer
  const root = document.documentElement;
  let wall = Date.now(), steady = performance.now(), age = null, asOf = "", clock = "", told = false;

  const since = () => Math.max(Date.now() - wall, performance.now() - steady); // the one stops in a sleeping computer, the other jumps

  function begin() {
    const beat = document.getElementById("beat");
    if (told || !beat) return;
    age = beat.dataset.age === "" ? null : Number(beat.dataset.age);
    [asOf, clock] = [beat.dataset.asOf, beat.dataset.clock];
  }

  function span(ms) {
    const s = Math.floor(ms / 1000);
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
    return s < 86400 ? `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min` : `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  }

  function say(id, words) {
    const element = document.getElementById(id);
    if (element && element.textContent !== words) element.textContent = words;
  }

  function look() {
    begin();
    const quiet = since();
    const lost = quiet > LIMIT_MS;
    const old = lost || (age !== null && age + quiet > LIMIT_MS);
    const state = lost ? "lost" : old ? "old" : "fresh";
    root.dataset.age = state;
    say("as-of", old ? `as of ${asOf}, ${age === null ? "never seen" : `${span(age + quiet)} ago`}` : "");
    root.style.setProperty("--as-of", JSON.stringify(` · as of ${clock}`));
    say("lost", lost ? `No connection to Photosynth. Everything here is as of ${asOf}, and buttons that need it are off until it answers; on the site's own computer, photosynth status and photosynth stop-mining may still reach it.` : "");
    for (const button of document.querySelectorAll("[data-server]")) {
      if (button.disabled === lost) continue;
      button.disabled = lost;
      if (lost) {
        button.title = "No connection to Photosynth";
        button.setAttribute("aria-describedby", "lost");
      } else {
        button.removeAttribute("title");
        button.removeAttribute("aria-describedby");
      }
    }
  }

  function tell(values, [ageMs, instant, time]) {
    window.photosynth.patch(values);
    [wall, steady, age, asOf, clock, told] = [Date.now(), performance.now(), ageMs, instant, time, true];
    look();
  }

  setInterval(look, 1000);
  for (const [target, event] of [[document, "visibilitychange"], [document, "resume"], [window, "pageshow"], [window, "focus"]]) target.addEventListener(event, look);
  Object.assign((window.photosynth ??= {}), { tell });
})();
