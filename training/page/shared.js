"use strict";
const token = document.querySelector("meta[name=token]").content;
const $ = (id) => document.getElementById(id);

async function post(path, body, headers = {}) {
  const answer = await fetch(path, {
    method: "POST", body, headers: { "X-Token": token, ...headers },
  }).catch(() => {
    throw new Error("The app does not answer. Is it still running?");
  });
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw new Error(content.error || `The app answers ${answer.status}.`);
  }
  return content;
}

function complain(error) {
  $("problem").textContent = error ? error.message : "";
  $("problem").hidden = !error;
}

/* Calls openFile(file) for a chosen or dropped file. */
function listenToFiles(openFile) {
  $("file").addEventListener("change", () => {
    if ($("file").files.length) openFile($("file").files[0]);
    $("file").value = "";
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    window.addEventListener(kind, (event) => {
      event.preventDefault();
      $("drop").classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) {
        openFile(event.dataTransfer.files[0]);
      }
    });
  }
}
