// What a page looks like, measured: the body of a function that returns what is wrong, each a sentence.
const wrong = [];
const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
const light = (colour) => {
  const [r, g, b] = channels(colour).map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [dark, bright] = [light(a), light(b)].sort((x, y) => x - y);
  return (bright + 0.05) / (dark + 0.05);
};
const seen = (element) => element.getClientRects().length > 0 && getComputedStyle(element).visibility === "visible";
// Every colour here is opaque or not there at all; what is between would have to be mixed first.
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const [, , , alpha = 1] = channels(getComputedStyle(at).backgroundColor);
    if (alpha === 1) return getComputedStyle(at).backgroundColor;
    if (alpha !== 0) wrong.push(`${at.tagName} is half transparent`);
  }
  wrong.push("nothing is behind the text");
  return "rgb(255, 255, 255)";
};
const least = (what, a, b, ratio) => {
  const is = contrast(a, b);
  if (!(is >= ratio)) wrong.push(`${what}: ${a} on ${b} is ${is.toFixed(2)} to 1 and not ${ratio} to 1`);
};
let texts = 0;
for (const element of document.body.querySelectorAll("*")) {
  if (!seen(element)) continue;
  const style = getComputedStyle(element);
  const text = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data.trim()).join("");
  const typed = element.matches("input") && element.type !== "hidden";
  if (text || typed) {
    texts += 1;
    least(`text "${text.slice(0, 40)}"`, style.color, ground(element), 4.5);
  }
  if (element.matches("button, input")) {
    least(`border of ${element.outerHTML.slice(0, 60)}`, style.borderTopColor, ground(element.parentElement), 3);
    const { width, height } = element.getBoundingClientRect();
    if (Math.min(width, height) < 44) wrong.push(`${element.outerHTML.slice(0, 60)} is too small to hit`);
  }
  if (parseFloat(style.fontSize) < 14) wrong.push(`"${text}" is too small to read`);
}
if (texts < 2) wrong.push("the page has hardly any text");
return wrong;
