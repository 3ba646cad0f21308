package cost

import (
	"math"
	"strconv"
	"time"
)

// Coulombs of an ampere-hour.
const ampereHour = 3600.0

// quantity writes a value with three significant digits and the prefix that suits it:
// 15.4 µC.
func quantity(v float64, unit string) string {
	if v == 0 {
		return "0 " + unit
	}
	exponent := int(math.Floor(math.Log10(math.Abs(v)*1.0005) / 3))
	exponent = min(max(exponent, -4), 3)
	prefix := []string{"p", "n", "µ", "m", "", "k", "M", "G"}[exponent+4]
	return significant(v/math.Pow(1000, float64(exponent))) + " " + prefix + unit
}

// significant writes three significant digits, and all digits before the point.
func significant(v float64) string {
	decimals := 2 - int(math.Floor(math.Log10(math.Abs(v)*1.0005)))
	return strconv.FormatFloat(v, 'f', max(decimals, 0), 64)
}

func duration(d time.Duration) string { return quantity(d.Seconds(), "s") }

// charge writes coulombs, with the ampere-hours that batteries are measured in.
func charge(c float64) string {
	return quantity(c, "C") + " = " + quantity(c/ampereHour, "Ah")
}

// life writes a time in seconds as years, or as days where it is less than one.
func life(seconds float64) string {
	const day = 24 * 3600.0
	switch {
	case seconds < day:
		return significant(seconds/3600) + " hours"
	case seconds < 365*day:
		return significant(seconds/day) + " days"
	}
	return significant(seconds/(365.25*day)) + " years"
}

// rate writes a bit rate.
func rate(v float64) string { return quantity(v, "bit/s") }
