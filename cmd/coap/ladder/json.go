package ladder

import (
	"encoding/json"
	"io"
	"time"
)

// A statsRow is the object that WriteJSON prints. Times are in milliseconds.
type statsRow struct {
	Datagrams          int           `json:"datagrams"`
	Bytes              int           `json:"bytes"` // of CoAP
	Kinds              []kindRow     `json:"kinds"` // most bytes first
	Conversations      int           `json:"conversations"`
	Requests           int           `json:"requests"`
	Unanswered         int           `json:"unanswered"`
	Confirmable        int           `json:"confirmable"`
	Retransmissions    int           `json:"retransmissions"`
	RetransmissionRate float64       `json:"retransmission_rate"` // 0 to 1
	Duplicates         int           `json:"duplicates"`
	RoundTrips         *roundTripRow `json:"round_trip_ms,omitempty"` // nil: no request has a response
}

type kindRow struct {
	Name      string `json:"name"`
	Datagrams int    `json:"datagrams"`
	Bytes     int    `json:"bytes"`
}

type roundTripRow struct {
	Count int     `json:"count"`
	Min   float64 `json:"min"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// WriteJSON prints the figures as one object on one line.
func (st *Stats) WriteJSON(w io.Writer) error {
	row := statsRow{
		Datagrams: st.Datagrams, Bytes: st.Bytes, Kinds: []kindRow{}, Conversations: st.Conversations,
		Requests: st.Requests, Unanswered: st.Unanswered, Confirmable: st.Confirmable,
		Retransmissions: st.Retransmissions, RetransmissionRate: st.RetransmissionRate(), Duplicates: st.Duplicates,
	}
	for _, k := range st.Kinds {
		row.Kinds = append(row.Kinds, kindRow(k))
	}
	if n := len(st.RoundTrips); n > 0 {
		row.RoundTrips = &roundTripRow{
			n, milliseconds(st.RoundTrips[0]), milliseconds(st.Percentile(50)), milliseconds(st.Percentile(90)),
			milliseconds(st.Percentile(99)), milliseconds(st.RoundTrips[n-1]),
		}
	}
	return json.NewEncoder(w).Encode(row)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
