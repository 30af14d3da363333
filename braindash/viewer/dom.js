// Small helpers for the page's elements.

export function element(kind, className, text = "") {
  const made = document.createElement(kind);
  made.className = className;
  made.textContent = text;
  return made;
}

// A number for readers, with a true minus and never "-0.00"; `plus` also marks what is above 0.
export function spoken(value, digits, plus = false) {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return `${value < 0 ? "−" : plus ? "+" : ""}${text}`;
}
