package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/go-affinity/affinity/bench/speed/internal/result"
)

// tables returns all that goes into the README, as Markdown, with those charts that
// were drawn.
func tables(r *result.Run, drawn map[string]bool) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `
Measured on %s by `+"`go run -C bench ./speed`"+` at revision %s, with %s on %s, %d processors (%s), shared with others: read ratios, not times.
What is compared took turns in one run; figures are medians over the rounds (of memory, and of peers while much changes, one to three readings, one after the other).
"plain" is what one would write in an afternoon: a map behind an RWMutex, gjson paths, and `+"`time.Now` twice (`bench/internal/plain`)"+`.
`, r.When.Format("2006-01-02"), r.Revision, r.Go, r.Platform, r.Procs, r.CPU)
	if r.Quick {
		fmt.Fprint(&b, "\n**This was a short run, which is not to be quoted.**\n")
	}
	var missing []string
	for _, s := range sections {
		if _, ok := r.Group(s.group); !ok {
			missing = append(missing, s.group)
		}
	}
	if missing != nil {
		fmt.Fprintf(&b, "\n**Not measured in this run: %s.**\n", strings.Join(missing, ", "))
	}
	for _, s := range sections {
		g, ok := r.Group(s.group)
		if !ok {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n\n", s.title)
		for _, file := range s.charts {
			if drawn[file] {
				fmt.Fprintf(&b, "![%s](bench/charts/%s)\n\n", s.title, file)
			}
		}
		if s.fold != "" {
			fmt.Fprintf(&b, "<details><summary>%s</summary>\n\n", s.fold)
		}
		s.write(&b, g)
		if s.fold != "" {
			fmt.Fprint(&b, "\n</details>\n")
		}
	}
	targets(&b, r)
	return b.Bytes()
}

// A section is a part of the README: the charts and a table of one group.
type section struct {
	group, title string
	charts       []string
	table        table
	upright      bool   // a line for each race and a column for each row, since there are many races
	fold         string // what is shown in place of the table until a reader asks for it; "" shows the table
}

// A table says what of a group is shown: a line for each row and a column for
// each race.
type table struct {
	races []string // those whose names contain one of these; nil for all
	speed bool     // GB/s and not time
	first string   // the head of the first column: the unit; "" puts the unit of each race behind its name
}

var sections = []section{
	{group: "header", title: "A request of a bound session, by a header", charts: []string{"header.svg"}, table: table{
		races: []string{"of body, 8 ", "of body, 512 "}, first: "ns",
	}},
	{group: "bodyid", title: "By an id in the body", charts: []string{"bodyid.svg"}, table: table{
		races: []string{"agent"}, first: "us",
	}},
	{group: "messages", title: "By its messages", charts: []string{"messages.svg"}, table: table{speed: true, first: "GB/s"}},
	{group: "formats", title: "In the formats of other APIs", table: table{speed: true, first: "GB/s"}, upright: true},
	{group: "shapes", title: "Conversations of other shapes", table: table{speed: true, first: "256 kB of, GB/s"}, upright: true},
	{group: "hostile", title: "Bodies built to hurt", table: table{first: "2 MB of, ms"}, upright: true, fold: "Each of them, beside gjson.ValidBytes, which finds no session"},
	{group: "table", title: "The table of bindings", charts: []string{"table.svg"}, table: table{first: "ns, two goroutines"}},
	{group: "memory", title: "What a table costs the process", charts: []string{"heap.svg", "gc.svg"}},
	{group: "stall", title: "Readers of a table, while much changes at once", charts: []string{"stall.svg"}},
	{group: "scaling", title: "Two goroutines", table: table{first: "ns"}},
	{group: "cold", title: "New sessions and failovers", table: table{first: "ns"}},
	{group: "gateway", title: "The gateway", charts: []string{"gateway.svg"}, table: table{first: "median latency, us"}},
	{group: "streaming", title: "Streams through the gateway", table: table{first: "us"}},
}

// rowNames returns the names of the rows of some races, each once, in the order
// in which they come.
func rowNames(races []result.Race) (names []string) {
	for _, race := range races {
		for _, row := range race.Rows {
			if !slices.Contains(names, row.Name) {
				names = append(names, row.Name)
			}
		}
	}
	return names
}

// shown returns the name of a row as tables have it: our own are bold.
func shown(name string) string {
	if ours(name) {
		return "**" + name + "**"
	}
	return name
}

// write writes the table of a group.
func (s section) write(b *bytes.Buffer, g result.Group) {
	var races []result.Race
	for _, race := range g.Races {
		if s.table.races == nil || contains(race.Name, s.table.races) {
			races = append(races, race)
		}
	}
	names := rowNames(races)
	var raceHeads, rowHeads []string
	for _, race := range races {
		head := race.Name
		if s.table.first == "" {
			head += ", " + race.Unit
		}
		raceHeads = append(raceHeads, head)
	}
	for _, name := range names {
		rowHeads = append(rowHeads, shown(name))
	}
	at := func(race, row int) string { return cell(races[race].Row(names[row]), s.table) }
	if s.upright {
		grid(b, s.table.first, raceHeads, rowHeads, at)
	} else {
		grid(b, s.table.first, rowHeads, raceHeads, func(row, race int) string { return at(race, row) })
	}
}

// grid writes a table: corner, the heads of its lines and columns, and its cells.
func grid(b *bytes.Buffer, corner string, lines, columns []string, cell func(line, column int) string) {
	fmt.Fprintf(b, "| %s |", corner)
	for _, head := range columns {
		fmt.Fprintf(b, " %s |", head)
	}
	fmt.Fprintf(b, "\n|---|%s\n", strings.Repeat("---:|", len(columns)))
	for i, head := range lines {
		fmt.Fprintf(b, "| %s |", head)
		for j := range columns {
			fmt.Fprintf(b, " %s |", cell(i, j))
		}
		fmt.Fprintln(b)
	}
}

// cell returns the median of a row as a table shows it, or "" if there is none.
func cell(row result.Row, t table) string {
	switch {
	case len(row.Samples) == 0:
		return ""
	case t.speed:
		return result.Format(row.Speed().Median)
	case row.Size > 0: // a race of package lap, in nanoseconds, that is shown in us
		return result.Format(row.Spread().Median / 1e3)
	}
	return result.Format(row.Spread().Median)
}

// ours reports whether a row of that name measures package affinity, and so is
// set off from what it is compared with.
func ours(name string) bool {
	return strings.HasPrefix(name, "affinity") || name == "gateway" || strings.HasPrefix(name, "first bind") || strings.HasPrefix(name, "failover")
}

// targets writes a table of all targets: what was measured beside what it should
// be.
func targets(b *bytes.Buffer, r *result.Run) {
	met, all := r.Met()
	fmt.Fprintf(b, "\n<details><summary>Targets: %d of %d met</summary>\n\n", met, all)
	fmt.Fprint(b, "Medians and, in brackets, quartiles over the rounds; \"close\" where the quartiles do not agree whether the target is met.\n\n| | target | measured | should be | |\n|---|---|---:|---:|---|\n")
	for _, g := range r.Groups {
		for _, v := range g.Verdicts {
			sense := "≥"
			if v.AtMost {
				sense = "≤"
			}
			target := v.Target
			if v.Note != "" {
				target += " (" + v.Note + ")"
			}
			fmt.Fprintf(b, "| %s | %s | %s %s | %s %s %s | %s |\n", g.Name, target, v.Value, v.Unit, sense, result.Format(v.Limit), v.Unit, v.Word())
		}
	}
	fmt.Fprint(b, "\n</details>\n\n")
}
