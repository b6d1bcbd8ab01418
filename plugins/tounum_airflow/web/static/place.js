// The place in the gallery that one left for an image, kept for the way back: page, picked tiles, and where one stood.
const KEY = "tounum-place";
const PAGING = ["after", "before", "n"];

const read = () => { try { return JSON.parse(sessionStorage.getItem(KEY)); } catch { return null; } };
const here = () => location.pathname + location.search;
const nameOf = (element) => { const { date, batch, path, page } = JSON.parse(element.dataset.item); return JSON.stringify([date, batch, path, page]); };
const filterOf = (search) => JSON.stringify([...new URLSearchParams(search)].filter(([name, value]) => value && !PAGING.includes(name)).sort());

export function leave(picked, current) {
  sessionStorage.setItem(KEY, JSON.stringify({ address: here(), picked: picked.map(nameOf), current: current ? nameOf(current) : null }));
}

// Called on an image: its way back leads to the page that one came from, if that showed the same filter.
export function comeFrom(item, back) {
  const left = read();
  if (!left) return;
  const address = new URL(left.address, location.origin);
  const wanted = new URL(back.href);
  if (address.pathname !== wanted.pathname || filterOf(address.search) !== filterOf(wanted.search)) return;
  back.href = address.href;
  sessionStorage.setItem(KEY, JSON.stringify({ ...left, seen: nameOf(item) }));
}

// Called on the gallery: which tiles were picked, and which one to stand on; nothing unless one comes from an image.
export function returned(tiles) {
  const left = read();
  if (left?.address !== here() || !left.seen) return null;
  const named = (name) => tiles.find((tile) => nameOf(tile) === name);
  return { picked: tiles.filter((tile) => left.picked.includes(nameOf(tile))), current: named(left.seen) ?? named(left.current) };
}
