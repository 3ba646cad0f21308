package script

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// recordOf reads the series of a CSV file, whose path counts from the script's folder. Its
// first line names the columns.
func recordOf(f *fields) signal {
	name, column, timeColumn := f.text("file", ""), f.text("column", ""), f.text("time", "")
	r := &record{again: f.flag("repeat", true)}
	if name == "" {
		f.missing("file", "the name of a CSV file")
	}
	if *f.err != nil {
		return r
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(f.file), name)
	}
	rows, err := readCSV(name)
	if err != nil {
		f.fail(f.at("file"), "%v", err)
		return r
	}
	values, times := f.columnOf(rows, "column", column), -1
	if timeColumn != "" {
		times = f.columnOf(rows, "time", timeColumn)
	}
	for i, row := range rows[1:] {
		if *f.err != nil {
			return r
		}
		r.values = append(r.values, row[values])
		if times >= 0 {
			r.times = append(r.times, f.timeOf(name, i+2, row[times], r.times))
		}
	}
	return r
}

// readCSV returns the rows of a file: a head and at least one more.
func readCSV(name string) ([][]string, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	c := csv.NewReader(file)
	c.Comment, c.TrimLeadingSpace = '#', true
	rows, err := c.ReadAll()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case len(rows) < 2:
		return nil, fmt.Errorf("%s: needs a line that names the columns, and one with values", name)
	}
	return rows, nil
}

// columnOf finds a column by its name; without one the last one is meant.
func (f *fields) columnOf(rows [][]string, field, name string) int {
	if name == "" {
		return len(rows[0]) - 1
	}
	i := slices.Index(rows[0], name)
	if i < 0 {
		f.fail(f.at(field), "there is no column %q; there are %s", name, strings.Join(rows[0], ", "))
		return 0
	}
	return i
}

// timeOf reads seconds since the start, which ascend.
func (f *fields) timeOf(name string, line int, text string, before []time.Duration) time.Duration {
	seconds, err := strconv.ParseFloat(text, 64)
	if err == nil && !(seconds >= 0 && seconds < 1e9) {
		err = errors.New("out of range")
	}
	t := time.Duration(seconds * float64(time.Second))
	switch {
	case err != nil:
		f.fail(f.at("time"), "%s, row %d: %.40q is no number of seconds since the start", name, line, text)
	case len(before) > 0 && t <= before[len(before)-1]:
		f.fail(f.at("time"), "%s, row %d: %s s is not behind the time of the row before", name, line, text)
	}
	return t
}
