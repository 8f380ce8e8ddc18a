"""Words of the options --fix and --ignore, which several commands have."""

FIX_HELP = "Restore these instead of what is found: rain,haze or rain=0.5 or all."
IGNORE_HELP = "Leave these: blur,jpeg."
