package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/go-affinity/affinity/bench/speed/internal/result"
)

// tables writes all that goes into the README.
func tables(r *result.Run, link string, drawn map[string]bool) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\nMeasured on %s by `go run -C bench ./speed` at revision %s, with %s on %s, %d processors (%s) that others used too: read ratios, not times.\n",
		r.When.Format("2006-01-02"), r.Revision, r.Go, r.Platform, r.Procs, r.CPU)
	fmt.Fprint(&b, "All that is compared took turns in one run; these are the medians of the rounds (memory, and peers while much changes: one to three readings, one after the\nother). \"plain\" is what one would write in an afternoon: a map behind an RWMutex, paths of gjson, `time.Now` twice (`bench/internal/plain`).\n")
	if r.Quick {
		fmt.Fprint(&b, "\n**This was a short run, which is not to be quoted.**\n")
	}
	for _, s := range sections {
		g, ok := r.Group(s.group)
		if !ok {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n\n", s.title)
		for _, file := range s.charts {
			if drawn[file] {
				fmt.Fprintf(&b, "![%s](%s/%s)\n\n", s.title, link, file)
			}
		}
		if s.pivot != nil {
			pivot(&b, *s.pivot, g)
		}
	}
	targets(&b, r)
	return b.Bytes()
}

// section is a part of the README.
type section struct {
	group, title string
	charts       []string
	pivot        *pivotTable // nil for none
}

// pivotTable is a table with a line for each row and a column for each race.
type pivotTable struct {
	rows  []string // in this order; nil for all
	races []string // whose names contain one of these; nil for all
	speed bool     // GB/s and not time
	first string   // what the first column is
}

var sections = []section{
	{"header", "A request of a bound session, by a header", []string{"header.svg"}, &pivotTable{
		races: []string{"of body, 8 ", "of body, 512 "}, first: "ns",
	}},
	{"bodyid", "By an id in the body", []string{"bodyid.svg"}, &pivotTable{
		races: []string{"agent"}, first: "us",
	}},
	{"messages", "By its messages", []string{"messages.svg"}, &pivotTable{speed: true, first: "GB/s"}},
	{"table", "The table of bindings", []string{"table.svg"}, &pivotTable{first: "ns, two goroutines"}},
	{"memory", "What it costs the process", []string{"heap.svg", "gc.svg"}, &pivotTable{}},
	{"stall", "Its readers, while much changes at once", []string{"stall.svg"}, &pivotTable{
		races: []string{"longest", "p99.9 of", "p99.9 while"},
	}},
	{"scaling", "Two goroutines", nil, &pivotTable{first: "ns"}},
	{"cold", "New sessions and failovers", nil, &pivotTable{first: "ns"}},
	{"gateway", "The gateway", []string{"gateway.svg"}, &pivotTable{first: "median latency, us"}},
	{"streaming", "Its streams", nil, &pivotTable{first: "us"}},
}

// pivot writes the table of a group.
func pivot(b *bytes.Buffer, p pivotTable, g result.Group) {
	var races []result.Race
	for _, race := range g.Races {
		if p.races == nil || slices.ContainsFunc(p.races, func(part string) bool { return strings.Contains(race.Name, part) }) {
			races = append(races, race)
		}
	}
	rows := p.rows
	if rows == nil {
		for _, race := range races {
			for _, row := range race.Rows {
				if !slices.Contains(rows, row.Name) {
					rows = append(rows, row.Name)
				}
			}
		}
	}
	fmt.Fprintf(b, "| %s |", p.first)
	for _, race := range races {
		name := race.Name
		if p.first == "" {
			name += ", " + race.Unit
		}
		fmt.Fprintf(b, " %s |", name)
	}
	fmt.Fprintf(b, "\n|---|%s\n", strings.Repeat("---:|", len(races)))
	for _, name := range rows {
		shown := name
		if ours(name) {
			shown = "**" + name + "**"
		}
		fmt.Fprintf(b, "| %s |", shown)
		for _, race := range races {
			fmt.Fprintf(b, " %s |", cell(race.Row(name), p))
		}
		fmt.Fprintln(b)
	}
}

func cell(row result.Row, p pivotTable) string {
	switch {
	case len(row.Samples) == 0:
		return ""
	case p.speed:
		return result.Format(row.Speed().Median)
	case p.first == "us" && row.Size > 0: // of nanoseconds
		return result.Format(row.Spread().Median / 1e3)
	}
	return result.Format(row.Spread().Median)
}

// ours reports whether a row is of package affinity.
func ours(name string) bool {
	return strings.HasPrefix(name, "affinity") || name == "gateway" || strings.HasPrefix(name, "first bind") || name == "failover"
}

// targets writes what was measured beside what it should be.
func targets(b *bytes.Buffer, r *result.Run) {
	all, met := 0, 0
	for _, g := range r.Groups {
		for _, v := range g.Verdicts {
			all++
			if v.Met() {
				met++
			}
		}
	}
	fmt.Fprintf(b, "\n<details><summary>Targets: %d of %d met</summary>\n\n", met, all)
	fmt.Fprint(b, "Medians and, in brackets, quartiles over the rounds; \"close\" where these do not agree.\n\n| | target | measured | should be | |\n|---|---|---:|---:|---|\n")
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
