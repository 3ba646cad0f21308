package main

import (
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/motewire/coap/linkformat"
)

// linkColumns are the attributes with a column of their own.
var linkColumns = []string{"rt", "if", "ct", "sz", "title"}

// linkTable lays links out (RFC 6690): a row per link and a column per attribute that
// occurs.
func (s style) linkTable(links []linkformat.Link) []byte {
	if len(links) == 0 {
		return []byte("no links\n")
	}
	rows := [][]string{append(append([]string{"target"}, linkColumns...), "other")}
	for _, link := range links {
		rows = append(rows, linkRow(link))
	}
	return s.table(rows)
}

// table lays rows out, the first one being the head. Columns without anything in them,
// but for the first, are left out.
func (s style) table(rows [][]string) []byte {
	used := make([]bool, len(rows[0]))
	for _, row := range rows[1:] {
		for i, text := range row {
			used[i] = used[i] || text != ""
		}
	}
	used[0] = true // targets can be empty

	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for i, row := range rows {
		line := strings.Join(usedCells(row, used), "\t") + "\n"
		if i == 0 {
			line = strings.ToUpper(line)
		}
		t.Write([]byte(line)) // a strings.Builder takes everything
	}
	t.Flush()
	return s.bold1st(trimLines(table.String()))
}

func usedCells(row []string, used []bool) []string {
	var cells []string
	for i, text := range row {
		if used[i] {
			cells = append(cells, text)
		}
	}
	return cells
}

// linkRow returns target, columns, and in the last cell the attributes without a column
// with further ones of a name that has one.
func linkRow(link linkformat.Link) []string {
	row := make([]string, len(linkColumns)+2)
	row[0] = cell(link.Target)
	var others []string
	for _, a := range link.Attributes {
		i := slices.Index(linkColumns, strings.ToLower(a.Name)) + 1
		switch {
		case i > 0 && row[i] == "" && a.Value != "":
			row[i] = cell(a.Value)
		case a.Flag:
			others = append(others, cell(a.Name))
		default:
			others = append(others, cell(a.Name+"="+a.Value))
		}
	}
	row[len(row)-1] = strings.Join(others, " ")
	return row
}

// cell returns a text that keeps to its cell and can't upset a terminal.
func cell(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// trimLines takes the blanks off the ends of lines.
func trimLines(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}
