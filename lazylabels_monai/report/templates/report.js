// The layer and its opacity stand in the address, so that a view can be linked: report.html#layer=instances&opacity=70
(() => {
  const radios = [...document.querySelectorAll('input[name="layer"]')];
  const slider = document.getElementById("opacity");
  if (!slider) return;
  const apply = () => {
    document.documentElement.style.setProperty("--opacity", slider.value / 100);
    document.getElementById("opacity-shown").value = `${slider.value} %`;
  };
  const read = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    const radio = radios.find((candidate) => candidate.value === state.get("layer"));
    if (radio) radio.checked = true;
    if (/^\d{1,3}$/.test(state.get("opacity") ?? "")) slider.value = state.get("opacity");
    apply();
  };
  const write = () => {
    apply();
    const chosen = radios.find((radio) => radio.checked);
    history.replaceState(null, "", `#layer=${chosen.value}&opacity=${slider.value}`);
  };
  radios.forEach((radio) => radio.addEventListener("change", write));
  slider.addEventListener("input", apply);
  slider.addEventListener("change", write);
  addEventListener("hashchange", read);
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
  read();
})();
