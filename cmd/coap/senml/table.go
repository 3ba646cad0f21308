package senml

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"time"
)

var base64URL = base64.RawURLEncoding

// Cells returns a record as the cells of a row: name, value, unit, time, and the sum where
// there is one. Absolute times are in UTC.
func (r *Record) Cells() []string {
	return []string{r.Name, r.value(), unit(r.Unit), r.time(), r.sum()}
}

// Columns are the heads of Cells.
var Columns = []string{"name", "value", "unit", "time", "sum"}

func (r *Record) value() string {
	switch {
	case r.Value != nil:
		return format(*r.Value)
	case r.Text != nil:
		return *r.Text
	case r.Bool != nil:
		return strconv.FormatBool(*r.Bool)
	case r.Bytes != nil:
		return "h'" + hex.EncodeToString(r.Bytes) + "'"
	}
	return ""
}

func (r *Record) sum() string {
	if r.Sum == nil {
		return ""
	}
	return format(*r.Sum)
}

// time is the date, or the distance from now.
func (r *Record) time() string {
	switch {
	case r.Relative() && r.Time == 0:
		return "now"
	case r.Relative():
		return "now" + signed(r.Time) + " s"
	case r.Time >= 253402300800: // the year 10000
		return format(r.Time) + " s"
	}
	seconds, fraction := math.Modf(r.Time)
	t := time.Unix(int64(seconds), int64(math.Round(fraction*1e6))*1000) // finer than that a float64 is not
	return t.UTC().Format("2006-01-02T15:04:05.999999Z")
}

func signed(v float64) string {
	if v > 0 {
		return "+" + format(v)
	}
	return format(v)
}

// format writes a number without an exponent where it is of usual size.
func format(v float64) string {
	if abs := math.Abs(v); abs >= 1e-6 && abs < 1e15 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// unit returns a unit with its meaning where the symbol does not say it.
func unit(symbol string) string {
	if meaning, ok := units[symbol]; ok {
		return symbol + " (" + meaning + ")"
	}
	return strings.TrimSpace(symbol)
}

// units holds what is not plain in the registry "SenML Units" (RFC 8428 §12.1).
var units = map[string]string{
	"Cel": "°C", "Ohm": "Ω", "l": "litre", "lm": "lumen", "lx": "lux", "m2": "m²", "m3": "m³", "m/s2": "m/s²", "m3/s": "m³/s",
	"W/m2": "W/m²", "cd/m2": "cd/m²", "lat": "degrees latitude", "lon": "degrees longitude", "dBW": "dB relative to 1 W",
	"Bspl": "bel, sound pressure", "count": "1", "/": "ratio", "%": "ratio in percent", "%RH": "relative humidity in percent",
	"%EL": "remaining battery in percent", "EL": "seconds of remaining battery", "1/s": "per second", "1/min": "per minute",
	"beat/min": "beats per minute", "S/m": "siemens per metre",
}
