// Pages that the run cannot fill are dimmed in the menu, at the top or in a phone's sidebar, with the reason to
// hover on.
export default function ({ data }) {
  const unfilled = data?.unfilled ?? {};
  for (const link of document.querySelectorAll('[data-testid="stTopNavLink"], [data-testid="stSidebarNavLink"]')) {
    const path = new URL(link.href).pathname.split("/").pop() || "replay";
    const why = unfilled[path];
    link.classList.toggle("unfilled", Boolean(why));
    if (why) link.title = why;
    else link.removeAttribute("title");
  }
}
