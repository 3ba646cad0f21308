package cost

import (
	"math"
	"time"
)

// LoRa is the modulation of that name, with an explicit header.
type LoRa struct {
	SpreadingFactor int     // 7 to 12
	Bandwidth       float64 // Hz
	CodingRate      int     // 1 for 4/5 to 4 for 4/8
	Preamble        int     // symbols
}

// Symbol is how long a symbol takes.
func (l *LoRa) Symbol() time.Duration {
	return time.Duration(math.Exp2(float64(l.SpreadingFactor)) / l.Bandwidth * float64(time.Second))
}

// Symbols is how many symbols a frame of some bytes takes behind the preamble (Semtech
// AN1200.13 §4); LoRaWAN has a checksum upwards alone.
func (l *LoRa) Symbols(bytes int, up bool) int {
	checksum := 0
	if up {
		checksum = 16
	}
	slow := 0 // low data rate optimisation, where a symbol takes more than 16 ms
	if l.Symbol() > 16*time.Millisecond {
		slow = 1
	}
	bits := 8*bytes - 4*l.SpreadingFactor + 28 + checksum
	groups := math.Ceil(float64(bits) / float64(4*(l.SpreadingFactor-2*slow)))
	return 8 + max(int(groups), 0)*(l.CodingRate+4)
}

// AirTime is how long a frame of some bytes takes.
func (l *LoRa) AirTime(bytes int, up bool) time.Duration {
	symbols := float64(l.Preamble) + 4.25 + float64(l.Symbols(bytes, up))
	return time.Duration(math.Round(symbols * float64(l.Symbol())))
}

// Room is how many bytes of content a frame takes with a spreading factor (LoRaWAN
// Regional Parameters, EU868, without repeaters).
func (l *LoRa) Room() int {
	switch {
	case l.SpreadingFactor <= 8:
		return 242
	case l.SpreadingFactor == 9:
		return 115
	}
	return 51
}
