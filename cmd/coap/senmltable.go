package main

import (
	"github.com/motewire/coap/cmd/coap/senml"
	"github.com/motewire/coap/message"
)

// layOutSenML lays a pack out as a table of resolved records (RFC 8428 §4.6). It returns
// false where the format is no SenML, or the body none.
func (s style) layOutSenML(format message.Format, body []byte) ([]byte, bool) {
	parse := map[message.Format]func([]byte) ([]senml.Record, error){
		message.AppSenmlJSON: senml.ParseJSON, message.AppSensmlJSON: senml.ParseJSON,
		message.AppSenmlCBOR: senml.ParseCBOR, message.AppSensmlCBOR: senml.ParseCBOR,
	}[format]
	if parse == nil {
		return nil, false
	}
	records, err := parse(body)
	switch {
	case err != nil:
		return nil, false
	case len(records) == 0:
		return []byte("no records\n"), true
	}
	rows := [][]string{senml.Columns}
	for i := range records {
		cells := records[i].Cells()
		for j := range cells {
			cells[j] = cell(cells[j])
		}
		rows = append(rows, cells)
	}
	return s.table(rows), true
}
