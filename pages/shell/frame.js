// One entry of the browser's history a page: a change of the query alone takes the entry's place, so that Back
// goes one page back. Streamlit pushes an entry for each change of the address.
export default function () {
  if (window.oneEntryAPage) return;
  window.oneEntryAPage = true;
  const push = history.pushState.bind(history);
  history.pushState = (state, unused, url) => {
    const same = url != null && new URL(url, document.baseURI).pathname === location.pathname;
    if (same) history.replaceState(state, unused, url);
    else push(state, unused, url);
  };
}
