// Comfort for listening: skips, speed, and a word when playback stops. Everything else works without this file.
"use strict";

for (const player of document.querySelectorAll("[data-player]")) {
  const audio = player.querySelector("audio");
  const fault = player.querySelector("[data-fault]");
  player.querySelector("[data-keys]").hidden = false;
  for (const key of player.querySelectorAll("[data-skip]")) {
    key.addEventListener("click", () => {
      const end = Number.isFinite(audio.duration) ? audio.duration : audio.currentTime;
      audio.currentTime = Math.min(Math.max(0, audio.currentTime + Number(key.dataset.skip)), end);
    });
  }
  player.querySelector("[data-speed]").addEventListener("change", (event) => {
    audio.playbackRate = Number(event.target.value);
  });
  audio.addEventListener("error", () => { fault.hidden = false; });
  audio.addEventListener("playing", () => { fault.hidden = true; });
}
