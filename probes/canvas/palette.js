// Written by `make bundles` from the project's palette and scales. Not to be edited.

// Lines that stay apart under colour blindness and on both themes, by their place.
export const OKABE_ITO = [
  "#0072B2",
  "#E69F00",
  "#009E73",
  "#CC79A7",
  "#56B4E9",
  "#D55E00",
  "#B8A000",
  "#7F7F7F",
]

// Evenly spaced stops of the layers' hue, from the input to the head.
export const LAYERS = ["#626AD8", "#816BDA", "#9E6BDA", "#BB69D9", "#D865D8"]

// Evenly spaced stops of the colour scales that the registry of statistics names.
export const COLOR_SCALES = {
  Viridis: [
    "#440154",
    "#482878",
    "#3e4989",
    "#31688e",
    "#26828e",
    "#1f9e89",
    "#35b779",
    "#6ece58",
    "#b5de2b",
    "#fde725",
  ],
  Cividis: [
    "#00224e",
    "#123570",
    "#3b496c",
    "#575d6d",
    "#707173",
    "#8a8678",
    "#a59c74",
    "#c3b369",
    "#e1cc55",
    "#fee838",
  ],
  diverging: [
    "#2166ac",
    "#4393c3",
    "#92c5de",
    "#d1e5f0",
    "#f7f7f7",
    "#fddbc7",
    "#f4a582",
    "#d6604d",
    "#b2182b",
  ],
}

export const ALERT = "#D55E00"
export const PINNED = "#E69F00"

// Ends of the scale of an sd, in prior sds: the limits of the regimes exploded and deterministic.
export const SD_WIDE = 1.05
export const SD_NARROW = 0.1
