"""How good a page is: sharpness, noise, brightness, contrast and the flags that follow from them."""
