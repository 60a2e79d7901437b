// Text that is hard to read on the ground it stands on, half transparent grounds mixed: the body of a function that returns
// each with its contrast.
const channels = (colour) => {
  const [r, g, b, alpha = 1] = colour.match(/[\d.]+/g).map(Number);
  return [r, g, b, alpha];
};
const light = ([r, g, b]) => {
  const [red, green, blue] = [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const mix = (above, below) => [0, 1, 2].map((i) => above[i] * above[3] + below[i] * (1 - above[3])).concat(1);
const ground = (element) => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) layers.unshift(channels(getComputedStyle(at).backgroundColor));
  return layers.reduce((below, above) => mix(above, below), [255, 255, 255, 1]);
};
const poor = [];
for (const element of document.body.querySelectorAll("*")) {
  if (!element.getClientRects().length || getComputedStyle(element).visibility !== "visible") continue;
  const text = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data.trim()).join("");
  if (!text && !element.matches("input, textarea, select")) continue;
  const below = ground(element);
  const [dark, bright] = [light(below), light(mix(channels(getComputedStyle(element).color), below))].sort((x, y) => x - y);
  const contrast = (bright + 0.05) / (dark + 0.05);
  if (!(contrast >= 4.5)) poor.push(`"${text.slice(0, 40)}" in ${element.tagName}.${element.className}: ${contrast.toFixed(2)} to 1`);
}
return poor;
