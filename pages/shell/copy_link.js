// The address of the view as it is, to the clipboard; where a page may not write there (an address without
// https that is not this computer's) the text is selected and copied by the browser's own command.
async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

export default function ({ parentElement }) {
  const button = parentElement.querySelector("button");
  button.onclick = async () => {
    let said = "Copied";
    try {
      await copy(location.href);
    } catch {
      said = "Not allowed by the browser";
    }
    button.textContent = said;
    setTimeout(() => (button.textContent = "Copy link"), 1500);
  };
}
