// Looks at every page in the frames of this wrapper, and leaves what it has to complain of in the document.
"use strict";

const CONTRAST_MIN = 4.5, TEXT_HEIGHT_MIN = 10, SLACK = 0.6;

addEventListener("load", () => {
  const frames = [...document.querySelectorAll("iframe")].map((frame) => {
    const { contentDocument: page, contentWindow: view } = frame;
    const isShown = (element) => element.getClientRects().length > 0;
    const plots = [...page.querySelectorAll("figure svg.plot")].filter(isShown);
    const all = [...page.body.querySelectorAll("*")].filter(isShown);
    return {
      page: frame.dataset.page,
      is_dark: view.matchMedia("(prefers-color-scheme: dark)").matches,
      width: view.innerWidth,
      figures: page.querySelectorAll("figure").length,
      plots: plots.map((plot) => ({
        title: plot.closest("figure").querySelector("h3").textContent,
        names: [...plot.querySelectorAll("g.data")].map((data) => data.dataset.name),
      })),
      complaints: [
        ...outside(page, view), ...tooWide(page, view, all), ...plots.flatMap(withoutData), ...plots.flatMap(withoutName),
        ...plots.flatMap(textOutside), ...plots.flatMap(labelsOverlap), ...all.flatMap((element) => pale(view, element)),
      ],
    };
  });
  const found = document.createElement("pre");
  found.id = "found";
  found.textContent = btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(frames))));
  document.body.append(found);
});

// Nothing is fetched, and nothing runs.
function outside(page, view) {
  const fetching = "[src],[href],[srcset],[action],[data],script,link,object,embed,iframe,img,image,use,base";
  const elements = [...page.querySelectorAll(fetching)].map((element) => `reaches outside: <${element.localName}>`);
  const handlers = [...page.querySelectorAll("*")]
    .filter((element) => [...element.attributes].some((attribute) => attribute.name.startsWith("on")))
    .map((element) => `has a handler: <${element.localName}>`);
  const styles = [...page.querySelectorAll("style")].map((style) => style.textContent)
    .concat([...page.querySelectorAll("[style]")].map((element) => element.getAttribute("style")));
  const imports = styles.filter((style) => /url\(|@import|image-set\(/i.test(style)).map(() => "a style reaches outside");
  const fetched = view.performance.getEntriesByType("resource").map((entry) => `fetched ${entry.name}`);
  return [...elements, ...handlers, ...imports, ...fetched];
}

// Nothing is wider than the window, except in boxes that scroll.
function tooWide(page, view, elements) {
  const isFree = (element) => !element.parentElement?.closest(".scrolls");
  const beyond = elements.filter((element) => {
    const { left, right } = element.getBoundingClientRect();
    return isFree(element) && (left < -SLACK || right > view.innerWidth + SLACK);
  });
  const complaints = beyond.map((element) => `wider than the window: <${element.localName}>`);
  if (page.documentElement.scrollWidth > view.innerWidth) complaints.push("the page scrolls sideways");
  return complaints;
}

// Every plot has data, and every line or bar of it lies within its axes.
function withoutData(plot) {
  const area = plot.querySelector(".area").getBBox();
  const sets = [...plot.querySelectorAll("g.data")];
  const complaints = [];
  const hasExtent = (shape) => shape.matches(".line") ? shape.getTotalLength() > 0 : shape.getBBox().height > 0;
  if (!sets.some((data) => [...data.querySelectorAll("path,rect")].some(hasExtent))) complaints.push("a plot without data");
  for (const data of sets) {
    const shapes = [...data.querySelectorAll("path,rect")];
    if (!shapes.some((shape) => shape.matches(".bar") || hasExtent(shape))) {
      complaints.push(`no data of ${data.dataset.name}`);
    }
    // Marks stand out of the axes by half their size.
    const isWithin = ({ x, y, width, height }, slack) => x >= area.x - slack && y >= area.y - slack &&
      x + width <= area.x + area.width + slack && y + height <= area.y + area.height + slack;
    if (!shapes.every((shape) => isWithin(shape.getBBox(), shape.matches(".mark") ? 5 : SLACK))) {
      complaints.push(`data of ${data.dataset.name} beyond the axes`);
    }
  }
  return complaints;
}

// Those who do not see a plot are told what it is.
function withoutName(plot) {
  const isNamed = plot.getAttribute("role") === "img" && plot.getAttribute("aria-label") && plot.querySelector(":scope > title");
  return isNamed ? [] : ["a plot without a name"];
}

function textOutside(plot) {
  const box = plot.getBoundingClientRect();
  return [...plot.querySelectorAll("text")].flatMap((text) => {
    const { left, right, top, bottom } = text.getBoundingClientRect();
    const isWithin = left >= box.left - SLACK && right <= box.right + SLACK && top >= box.top - SLACK && bottom <= box.bottom + SLACK;
    const complaints = isWithin ? [] : [`text beyond its plot: ${text.textContent}`];
    return bottom - top < TEXT_HEIGHT_MIN ? [...complaints, `text too small: ${text.textContent}`] : complaints;
  });
}

function labelsOverlap(plot) {
  const texts = [...plot.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
  const overlap = (one, other) => one.left < other.right && other.left < one.right && one.top < other.bottom - 2 && other.top < one.bottom - 2;
  return texts.flatMap(([name, box], index) => texts.slice(index + 1)
    .filter(([, other]) => overlap(box, other)).map(([other]) => `labels overlap: ${name}, ${other}`));
}

// Every text stands out from what is behind it.
function pale(view, element) {
  const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!hasText || element.closest("title,style")) return [];
  const style = view.getComputedStyle(element);
  let behind = element;
  while (behind && channels(view.getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  const paper = behind ? view.getComputedStyle(behind).backgroundColor : "rgb(255, 255, 255)";
  const ink = element.matches("svg text") ? style.fill : style.color;
  const [light, dark] = [luminance(ink), luminance(paper)].sort((one, other) => other - one);
  const contrast = (light + 0.05) / (dark + 0.05);
  return contrast < CONTRAST_MIN ? [`contrast ${contrast.toFixed(1)}: ${element.textContent.trim().slice(0, 40)}`] : [];
}

function channels(colour) {
  const [red, green, blue, alpha = 1] = colour.match(/[\d.]+/g).map(Number);
  return [red, green, blue, alpha];
}

// As WCAG 2.2 defines it.
function luminance(colour) {
  const linear = (channel) => channel <= 0.04045 * 255 ? channel / 255 / 12.92 : ((channel / 255 + 0.055) / 1.055) ** 2.4;
  const [red, green, blue] = channels(colour);
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}
