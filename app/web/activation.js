// The class activation map as a picture: the colours and strengths that POST /explain draws
// (app/render/overlay.py), so that the film under it can be windowed, zoomed and moved.

// Viridis (van der Walt and Smith 2015, CC0), 17 of its 256 colours, evenly spaced.
const VIRIDIS = [
  "440154", "48186a", "472d7b", "424086", "3b528b", "33638d", "2c728e", "26828e", "21918c",
  "1f9f88", "27ad81", "3dbc74", "5cc863", "81d34d", "aadc32", "d5e21a", "fde725",
].map((hex) => [0, 2, 4].map((place) => parseInt(hex.slice(place, place + 2), 16)));
const SIDE_PX = 256;

/** What speaks for a label, from 0 (nothing) to 1 (most in this film); all 0 if nothing does. */
export function relevance(cam) {
  const top = Math.max(0, ...cam.flat()) || 1;
  return cam.map((row) => row.map((value) => Math.max(value, 0) / top));
}

/**
 * A canvas to be stretched over the film: where nothing speaks for the label it is clear, and it
 * covers the most where the most does. Who draws it makes it as strong as the label is likely.
 */
export function drawActivation(cam) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE_PX;
  const pen = canvas.getContext("2d");
  const picture = pen.createImageData(SIDE_PX, SIDE_PX);
  const shares = relevance(cam);
  const across = weights(shares[0].length);
  const down = weights(shares.length);
  const wide = shares.map((row) => across.map((weight) => sum(weight, row)));
  for (let y = 0, place = 0; y < SIDE_PX; y++) {
    for (let x = 0; x < SIDE_PX; x++, place += 4) {
      let share = 0;
      down[y].forEach((weight, row) => { share += weight * wide[row][x]; });
      share = Math.min(Math.max(share, 0), 1);
      picture.data.set(colourOf(share), place);
      picture.data[place + 3] = Math.round(share * 255);
    }
  }
  pen.putImageData(picture, 0, 0);
  return canvas;
}

function colourOf(share) {
  const place = share * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(place), VIRIDIS.length - 2);
  return VIRIDIS[low].map((from, channel) =>
    Math.round(from + (VIRIDIS[low + 1][channel] - from) * (place - low)));
}

const sum = (weight, row) => row.reduce((total, value, column) => total + value * weight[column], 0);

/** For each pixel the weight of each cell: bicubic (a = -0.5), cells by their centres. */
function weights(cells) {
  return Array.from({ length: SIDE_PX }, (_, pixel) => {
    const centre = ((pixel + 0.5) * cells) / SIDE_PX - 0.5;
    const raw = Array.from({ length: cells }, (__, cell) => cubic(Math.abs(cell - centre)));
    const total = raw.reduce((one, other) => one + other);
    return raw.map((value) => value / total);
  });
}

function cubic(distance) {
  if (distance < 1) return (1.5 * distance - 2.5) * distance * distance + 1;
  if (distance < 2) return ((-0.5 * distance + 2.5) * distance - 4) * distance + 2;
  return 0;
}

/** The colours as a CSS gradient, for the legend. */
export const gradient = () =>
  `linear-gradient(to right, ${VIRIDIS.map((colour) => `rgb(${colour})`).join(",")})`;
