// How a page is built, for those who do not see it: the body of a function that returns what is wrong, each a sentence.
const wrong = [];
const one = (css) => {
  const count = document.querySelectorAll(css).length;
  if (count !== 1) wrong.push(`there are ${count} of ${css}`);
};
["html[lang=en]", "h1", "main", "header", "main h1", "title", "meta[name=viewport]"].forEach(one);
const heading = document.querySelector("h1").textContent;
if (!document.title.includes(heading)) wrong.push(`the title is ${document.title}, the heading ${heading}`);
const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
if (new Set(ids).size !== ids.length) wrong.push("two elements have one id");
for (const field of document.querySelectorAll("input:not([type=hidden], [hidden])")) {
  if (field.labels.length !== 1) wrong.push(`${field.name} has no label`);
  if (!field.autocomplete) wrong.push(`${field.name} does not say what it is for`);
}
for (const button of document.querySelectorAll("button")) {
  if (!button.textContent.trim()) wrong.push("a button says nothing");
}
for (const element of document.querySelectorAll("[aria-describedby]")) {
  for (const id of element.getAttribute("aria-describedby").split(" ")) {
    if (!document.getElementById(id)) wrong.push(`${id} describes ${element.name} and is not there`);
  }
}
const alert = document.querySelector("[role=alert]");
if (Boolean(alert) !== document.title.startsWith("Error: ")) wrong.push("title and page do not agree on an error");
if (alert) {
  const field = document.querySelector("[aria-invalid=true]");
  if (!field?.getAttribute("aria-describedby").split(" ").includes(alert.id)) wrong.push("no field is described by the error");
  if (document.activeElement !== field) wrong.push("the wrong field has not the focus");
  if (alert.nextElementSibling !== field) wrong.push("the error is not beside its field");
}
if (document.scripts.length) wrong.push("there is a script");
return wrong;
