package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/motewire/coap/cmd/coap/overhttp"
	"github.com/motewire/coap/message"
)

func (c *cli) codesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "codes [codes|options|formats|WORD…]",
		Short: "Look up codes, options and Content-Formats",
		Long: `codes prints IANA's registries: methods and response codes with what they are over HTTP
(RFC 8075), option numbers with their properties, and Content-Formats. Without a WORD
it prints all, else the rows that have it: a code (4.04 or 404), an HTTP status, a
number of an option or format, or a part of a name or media type.

In the table of options C is critical, U unsafe to forward, N no part of the cache key,
R repeatable.`,
		Example: `  coap codes 4.04
  coap codes json
  coap codes options`,
		ValidArgs: []string{"codes\tmethods and response codes", "options\toption numbers", "formats\tContent-Formats"},
		RunE: func(_ *cobra.Command, args []string) error {
			return writeRegistries(c.style(false), c.stdout, args)
		},
	}
}

// A registry is a table to look things up in.
type registry struct {
	name string // as it is asked for
	head string
	rows []registryRow
}

// A registryRow is one entry: what is printed, and by what it is found beside that.
type registryRow struct {
	cells   []string
	numbers []string // that name it exactly
	words   string   // in which a word is looked for, lower case
}

func registries() []registry {
	return []registry{codeRegistry(), optionRegistry(), formatRegistry()}
}

// writeRegistries prints the registries asked for by name, else the rows of all that have
// each word.
func writeRegistries(s style, w io.Writer, words []string) error {
	all := registries()
	if len(words) == 1 {
		if i := slices.IndexFunc(all, func(r registry) bool { return r.name == words[0] }); i >= 0 {
			all, words = all[i:i+1], nil
		}
	}
	found := false
	for _, r := range all {
		rows := r.matching(words)
		if len(rows) == 0 {
			continue
		}
		if found {
			fmt.Fprintln(w)
		}
		found = true
		if err := r.write(s, w, rows); err != nil {
			return ioError(err)
		}
	}
	if !found {
		return usageErrorf("nothing registered is %q; coap codes lists all", strings.Join(words, " "))
	}
	return nil
}

// matching returns the rows that have all words, or that are named by the one number.
func (r *registry) matching(words []string) []registryRow {
	var rows []registryRow
	for _, row := range r.rows {
		if row.matches(words) {
			rows = append(rows, row)
		}
	}
	return rows
}

func (r *registryRow) matches(words []string) bool {
	for _, word := range words {
		if strings.Trim(word, "0123456789.") == "" {
			if !slices.Contains(r.numbers, word) {
				return false
			}
		} else if !strings.Contains(r.words, strings.ToLower(word)) {
			return false
		}
	}
	return true
}

func (r *registry) write(s style, w io.Writer, rows []registryRow) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, r.head)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row.cells, "\t"))
	}
	t.Flush()
	_, err := w.Write(s.bold1st(trimLines(b.String())))
	return err
}

// codeRegistry has the methods and response codes (RFC 7252 §12.1).
func codeRegistry() registry {
	r := registry{name: "codes", head: "CODE\tNAME\tHTTP"}
	for n := range 256 {
		code := message.Code(n)
		if code.Name() == "" {
			continue
		}
		numbers := []string{code.String(), strings.ReplaceAll(code.String(), ".", "")}
		var statuses []string
		for _, status := range overhttp.Statuses(code) {
			statuses = append(statuses, strconv.Itoa(status))
		}
		http := strings.Join(statuses, " or ")
		if code.IsRequest() {
			http = strings.ToUpper(code.Name())
			if code == message.FETCH || code == message.IPATCH {
				http = ""
			}
		}
		r.rows = append(r.rows, registryRow{
			cells:   []string{code.String(), code.Name(), http},
			numbers: append(numbers, statuses...),
			words:   strings.ToLower(code.Name()),
		})
	}
	return r
}

// optionRegistry has the option numbers (RFC 7252 §12.2).
func optionRegistry() registry {
	r := registry{name: "options", head: "OPTION\tNAME\tPROPERTIES\tVALUE\tBYTES"}
	for n := range 65536 {
		info, assigned := message.OptionNumber(n).Info()
		if !assigned {
			continue
		}
		length := strconv.Itoa(info.MinLength)
		if info.MaxLength != info.MinLength {
			length += "-" + strconv.Itoa(info.MaxLength)
		}
		if info.MaxLength == message.MaxOptionLength {
			length = "any"
		}
		r.rows = append(r.rows, registryRow{
			cells:   []string{strconv.Itoa(n), info.Name, optionProperties(info), info.Format.String(), length},
			numbers: []string{strconv.Itoa(n)},
			words:   strings.ToLower(info.Name),
		})
	}
	return r
}

// optionProperties are a letter for each, as in RFC 7252 §5.10, Table 4.
func optionProperties(info message.OptionInfo) string {
	b := []byte("----")
	n := info.Number
	for i, p := range []struct {
		letter byte
		has    bool
	}{{'C', n.Critical()}, {'U', n.Unsafe()}, {'N', n.NoCacheKey() && !n.Unsafe()}, {'R', info.Repeatable}} {
		if p.has {
			b[i] = p.letter
		}
	}
	return string(b)
}

// formatRegistry has the Content-Formats (RFC 7252 §12.3).
func formatRegistry() registry {
	r := registry{name: "formats", head: "FORMAT\tMEDIA TYPE\tCODING"}
	for info := range message.Formats() {
		number := strconv.Itoa(int(info.Format))
		r.rows = append(r.rows, registryRow{
			cells:   []string{number, info.MediaType, info.Coding},
			numbers: []string{number},
			words:   strings.ToLower(info.MediaType + " " + info.Coding),
		})
	}
	return r
}
