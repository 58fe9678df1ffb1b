package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/go-affinity/affinity/bench/internal/chart"
	"github.com/go-affinity/affinity/bench/speed/internal/result"
)

// A drawing is a chart and the name of the file that it goes to.
type drawing struct {
	file string
	chart.Figure
	groups []chart.Group
}

// chartsOf returns the charts of a run: those for which there are figures.
func chartsOf(r *result.Run) []drawing {
	note := fmt.Sprintf("%s, %s, %d processors (%s), %s, revision %s. Lines: quartiles over the rounds.",
		r.Go, r.Platform, r.Procs, r.CPU, r.When.Format("2006-01-02"), r.Revision)
	if r.Quick {
		note = "A QUICK RUN, NOT TO BE QUOTED. " + note
	}
	var out []drawing
	// draw adds a chart of one group, with a group of bars for each race and in that a
	// bar for each row that has a value: of races whose names contain one of races, if
	// there are any, and of races and rows whose names contain none of but.
	draw := func(group, file string, c chart.Figure, races, but []string, value func(result.Row) result.Spread) {
		g, _ := r.Group(group)
		c.Note, c.X.Format = note, result.Format
		d := drawing{file: file, Figure: c}
		for _, race := range g.Races {
			if races != nil && !contains(race.Name, races) || contains(race.Name, but) {
				continue
			}
			bars := chart.Group{Name: race.Name}
			for _, r := range race.Rows {
				if len(r.Samples) == 0 || contains(r.Name, but) {
					continue
				}
				v := value(r)
				if v.Q1 <= 0 || !(v.Q3 < math.Inf(1)) { // too little to be measured
					continue
				}
				bars.Bars = append(bars.Bars, chart.Bar{Name: r.Name, Value: v.Median, Lo: v.Q1, Hi: v.Q3, Ours: ours(r.Name)})
			}
			if len(bars.Bars) > 0 {
				d.groups = append(d.groups, bars)
			}
		}
		if len(d.groups) > 0 {
			out = append(out, d)
		}
	}
	spread := result.Row.Spread

	draw("header", "header.svg", chart.Figure{
		Title: "A request of a bound session", Subtitle: "By an id in a header; body and candidates of different sizes", X: chart.Axis{Label: "ns a request, logarithmic: less is better", Log: true},
	}, []string{"2 kB of body, 8 ", "2 kB of body, 512", "2 MB of body, 512"}, []string{"again", "order", "to /v1", "Done"}, spread)
	draw("bodyid", "bodyid.svg", chart.Figure{
		Title: "An id in the body", Subtitle: "A coding agent's body of 2 MB; where in it the id stands", X: chart.Axis{Label: "us, logarithmic: less is better", Log: true},
	}, []string{"agent, 2 MB"}, nil, func(row result.Row) result.Spread { return scale(row.Spread(), 1e-3) })
	draw("messages", "messages.svg", chart.Figure{
		Title: "A conversation known by its messages", Subtitle: "Coding agents' bodies; plain reads less of them", X: chart.Axis{Label: "GB/s: more is better"},
	}, nil, []string{"memory"}, result.Row.Speed)
	draw("table", "table.svg", chart.Figure{
		Title: "The table of bindings", Subtitle: "99 % hits that refresh, 1 % writes, two goroutines, uniform ids", X: chart.Axis{Label: "ns an operation, logarithmic: less is better", Log: true},
	}, nil, []string{"zipf"}, spread)
	draw("memory", "heap.svg", chart.Figure{
		Title: "Memory of the table", Subtitle: "On the heap, with the ids that it keeps", X: chart.Axis{Label: "bytes a session: less is better"},
	}, []string{"heap"}, nil, spread)
	draw("memory", "gc.svg", chart.Figure{
		Title: "What the garbage collector has to do", Subtitle: "CPU time of one collection", X: chart.Axis{Label: "ms, logarithmic: less is better", Log: true},
	}, []string{"CPU"}, nil, spread)
	draw("stall", "stall.svg", chart.Figure{
		Title: "The longest that a reader waits", X: chart.Axis{Label: "us, logarithmic: less is better", Log: true},
	}, []string{"longest"}, nil, spread)
	draw("gateway", "gateway.svg", chart.Figure{
		Title: "The gateway beside a bare proxy", Subtitle: "1,000 requests a second on loopback, median latency", X: chart.Axis{Label: "us: less is better"},
	}, nil, nil, spread)
	return out
}

// contains reports whether name contains one of the parts.
func contains(name string, parts []string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(name, part) })
}

func scale(s result.Spread, by float64) result.Spread {
	s.Median, s.Q1, s.Q3 = s.Median*by, s.Q1*by, s.Q3*by
	return s
}
