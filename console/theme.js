/* console/theme.js - dark or light before the first paint: what was chosen here, else what the system has. */
document.documentElement.dataset.theme = localStorage.getItem("weir-theme") ??
  (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");
