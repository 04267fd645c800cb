// The event stream: connects, connects again, and says how the connection is.

export function follow(store, changed, stateChanged) {
  const source = new EventSource("events");
  source.addEventListener("open", () => stateChanged("live"));
  source.addEventListener("error", () => {
    stateChanged("gone");
    // A browser gives up when it is refused; a service that starts anew is found again.
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(() => follow(store, changed, stateChanged), 2000);
    }
  });
  source.addEventListener("history", (event) => {
    const told = JSON.parse(event.data);
    if (told.fresh) store.clear();
    told.lines.forEach((line) => store.add(line));
    store.situation = told.situation;
    store.replayed = told.replayed;
    stateChanged(told.replayed ? "replay" : "live");
    changed();
  });
  source.addEventListener("line", (event) => {
    store.add(JSON.parse(event.data));
    changed();
  });
  source.addEventListener("situation", (event) => {
    store.situation = JSON.parse(event.data);
    changed();
  });
}
