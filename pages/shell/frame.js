// One entry of the browser's history a page: a change of the query alone takes the entry's place, so that Back
// goes one page back. Streamlit pushes an entry for each change of the address.
function oneEntryAPage() {
  if (window.oneEntryAPage) return;
  window.oneEntryAPage = true;
  const push = history.pushState.bind(history);
  history.pushState = (state, unused, url) => {
    const same = url != null && new URL(url, document.baseURI).pathname === location.pathname;
    if (same) history.replaceState(state, unused, url);
    else push(state, unused, url);
  };
}

// Pages that the run cannot fill are dimmed in the menu, with the reason to hover on.
function dim(unfilled) {
  for (const link of document.querySelectorAll('[data-testid="stTopNavLink"]')) {
    const path = new URL(link.href).pathname.split("/").pop() || "replay";
    const why = unfilled[path];
    link.classList.toggle("unfilled", Boolean(why));
    if (why) link.title = why;
    else link.removeAttribute("title");
  }
}

export default function ({ data }) {
  oneEntryAPage();
  dim(data?.unfilled ?? {});
}
