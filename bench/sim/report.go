package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-affinity/affinity/bench/internal/chart"
)

// A report is all that is told of a simulation.
type report struct {
	Upstreams int
	TTL       string
	Outage    string
	Seeds     int
	Traces    []traceReport
}

// A traceReport is what all policies made of one trace.
type traceReport struct {
	Trace     string
	Generated bool
	Policies  []summary
}

// A summary is what the runs of one policy over one trace have in common: mean
// and standard deviation of every figure.
type summary struct {
	Policy string
	Name   string
	Ours   bool
	Mean   figures
	SD     figures
	Runs   int
}

// newReport sums up the results of all workloads, each over so many seeds.
func newReport(results []result, workloads []*workload, cond conditions, seeds int) report {
	rep := report{Upstreams: cond.upstreams.N, TTL: short(cond.upstreams.TTL), Outage: cond.outage.String(), Seeds: seeds}
	for _, w := range workloads {
		rep.Traces = append(rep.Traces, traceReport{w.trace.Name, w.made, summarize(results, w.trace.Name)})
	}
	return rep
}

// summarize sums up the results of a trace by policy, in the order of the results.
func summarize(results []result, trace string) []summary {
	var all []summary
	at := map[string]int{}
	for _, r := range results {
		if r.trace != trace {
			continue
		}
		i, ok := at[r.policy.key]
		if !ok {
			i = len(all)
			at[r.policy.key] = i
			all = append(all, summary{Policy: r.policy.key, Name: r.policy.name, Ours: r.policy.ours != nil})
		}
		s := &all[i]
		s.Runs++
		for k, v := range r.figures {
			s.Mean[k] += v
			s.SD[k] += v * v
		}
	}
	for i := range all {
		s := &all[i]
		n := float64(s.Runs)
		for k := range s.Mean {
			s.Mean[k] /= n
			s.SD[k] = math.Sqrt(max(0, s.SD[k]/n-s.Mean[k]*s.Mean[k]) * n / max(n-1, 1))
		}
	}
	return all
}

func (s schedule) String() string {
	if s.every == 0 {
		return ""
	}
	return short(s.out) + "/" + short(s.every)
}

// short writes a duration without the units that are zero: 2h, not 2h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// A column is a column of the table: its head, and how a cell is made of the mean and
// the deviation of a figure. One that is rare is shown only if some policy has any.
type column struct {
	head   string
	of     int
	format string
	rare   bool
}

var columns = []column{
	{"hit", Hit, "%.1f%%", false},
	{"of oracle", Missed, "%.1f%%", false},
	{"uncached", Uncached, "%.3f ±%.3f", false},
	{"| requests", Requests, "| %.2f", false},
	{"uncached", Tokens, "%.2f ±%.2f", false},
	{"cost", Cost, "%.3f ±%.3f", false},
	{"| 5 min uncached", MedianTokens, "| %.2f", false},
	{"cost", MedianCost, "%.2f", false},
	{"worst uncached", WorstTokens, "%.2f", false},
	{"cost", WorstCost, "%.2f", false},
	{"| moved", Moved, "| %.2f%%", false},
	{"expired", ExpiredHere, "%.2f%%", false},
	{"never", NeverHere, "%.2f%%", false},
	{"| moves", Moves, "| %.1f%%", false},
	{"failed", Failed, "%.1f%%", true},
	{"429", Refused, "%.1f%%", true},
	{"waited", Waited, "%.1f%%", true},
	{"lost", Lost, "%.2f%%", true},
}

// cell writes a figure of s as the column has it.
func (c column) cell(s *summary) string {
	mean := s.Mean[c.of]
	if c.of == Missed {
		mean = 1 - mean
	}
	switch {
	case strings.Contains(c.format, "±"):
		return fmt.Sprintf(c.format, mean, s.SD[c.of])
	case strings.Contains(c.format, "%%"):
		mean *= 100
	}
	return fmt.Sprintf(c.format, mean)
}

// beaten reports whether a policy of others was better than s in misses and in
// imbalance, in each by more than its own standard deviation.
func (s *summary) beaten(all []summary) bool {
	return slices.ContainsFunc(all, func(o summary) bool {
		return !o.Ours && o.Mean[Uncached]+o.SD[Uncached] < s.Mean[Uncached] && o.Mean[Cost]+o.SD[Cost] < s.Mean[Cost]
	})
}

// legend explains the columns.
const legend = `
*: this library; !: a policy of others was better in both misses and imbalance of cost.
hit: prompt tokens from the cache; of oracle: against one infinite cache; uncached: tokens read anew against the oracle's (± deviation over arrival seeds).
requests, uncached, cost: the busiest upstream against the mean, over the run; then in the median 5 minutes and in the worst. Cost = uncached + 0.1 cached + 5 output.
moved, expired, never: prompt tokens lost against the oracle, since the session had them alive elsewhere, since they had expired here, since they never were here.
moves: requests sent elsewhere than their session's last one. failed, 429: attempts in vain, per request; waited, lost: requests that no upstream would take, at first and for two minutes.
`

// print writes a table for every trace.
func (rep *report) print(out io.Writer) {
	for _, tr := range rep.Traces {
		made := ""
		if tr.Generated {
			made = " (generated)"
		}
		fmt.Fprintf(out, "\n%s%s: N = %d, cache TTL %s, %d seeds; the oracle hits %.1f %%\n",
			tr.Trace, made, rep.Upstreams, rep.TTL, rep.Seeds, 100*tr.Policies[0].Mean[OracleHit])
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		shown := slices.DeleteFunc(slices.Clone(columns), func(c column) bool {
			return c.rare && !slices.ContainsFunc(tr.Policies, func(s summary) bool { return s.Mean[c.of] > 0 })
		})
		for _, c := range shown {
			fmt.Fprint(t, "\t", c.head)
		}
		fmt.Fprintln(t)
		for i := range tr.Policies {
			s := &tr.Policies[i]
			name := s.Name
			if s.Ours {
				name = "* " + name
			}
			if s.Ours && s.beaten(tr.Policies) {
				name = "!" + name
			}
			fmt.Fprint(t, name)
			for _, c := range shown {
				fmt.Fprint(t, "\t", c.cell(s))
			}
			fmt.Fprintln(t)
		}
		t.Flush()
	}
	fmt.Fprint(out, legend)
}

// draw writes a chart for every trace into a directory that is there: misses against
// imbalance. Both are drawn as what is above perfect, since that is what differs
// between policies, on logarithmic scales, since it differs a thousandfold.
func (rep *report) draw(dir string) error {
	for _, tr := range rep.Traces {
		const floor = 0.001 // what is below is drawn there
		c := chart.Figure{
			Title: "Misses against imbalance: " + described(tr.Trace),
			Subtitle: fmt.Sprintf("%d upstreams whose prompt caches live for %s after their last use, mean of %d runs.\nLeft is fewer misses, down is more even work: the lower left corner is perfect.",
				rep.Upstreams, rep.TTL, rep.Seeds),
			X: chart.Axis{Label: "tokens read anew, above those of one infinite cache", Log: true, Format: func(v float64) string {
				if v == floor {
					return "≤ " + above(v)
				}
				return above(v)
			}},
			Y: chart.Axis{Label: "cost of the busiest upstream, above the mean", Log: true, Format: above},
		}
		var points []chart.Point
		for _, s := range tr.Policies {
			points = append(points, chart.Point{Name: s.Name, Ours: s.Ours, X: max(s.Mean[Uncached]-1, floor), Y: max(s.Mean[Cost]-1, floor), XErr: s.SD[Uncached], YErr: s.SD[Cost]})
		}
		name := "tradeoff-" + tr.Trace
		if tr.Generated {
			name += "-generated"
			c.Subtitle += "\nThe trace is made up by the generator."
		}
		if err := os.WriteFile(filepath.Join(dir, name+".svg"), c.Scatter(points), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// above writes a share above perfect: "+5 %".
func above(v float64) string {
	return "+" + strconv.FormatFloat(math.Round(1e5*v)/1e3, 'f', -1, 64) + " %"
}

// described says what a trace is.
func described(trace string) string {
	switch trace {
	case "cc6":
		return "Claude Code sessions"
	case "mooncake_conv":
		return "chat (Mooncake)"
	case "tau_airline":
		return "agents that share a system prompt (tau-bench)"
	}
	return trace
}
