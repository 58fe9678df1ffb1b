package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// A target is what a policy of ours has to reach on a trace: the mean of a figure
// over the runs, at most.
type target struct {
	trace  string
	policy string // "" for every policy of ours
	outage bool   // with every upstream out for 10 minutes every 2 hours
	what   string // the figure, in words
	of     int
	most   float64
}

// herding is the cost imbalance from which on a policy herds: the busiest upstream
// has the work of another one as well.
const herding = 2

var targets = []target{
	{"cc6", "prefix", false, "uncached against the oracle", Uncached, 1.035},
	{"cc6", "prefix", false, "cost imbalance", Cost, 1.06},
	{"cc6", "sessions-prefix", false, "uncached against the oracle", Uncached, 1.035},
	{"cc6", "sessions-prefix", false, "cost imbalance", Cost, 1.06},
	{"cc6", "sessions-cost", false, "uncached against the oracle", Uncached, 1.06},
	{"cc6", "sessions-cost", false, "cost imbalance", Cost, 1.06},
	{"mooncake_conv", "prefix", false, "hits of the oracle that were missed", Missed, 0.002},
	{"mooncake_conv", "prefix", false, "uncached imbalance", Tokens, 1.05},
	{"mooncake_conv", "sessions-prefix", false, "hits of the oracle that were missed", Missed, 0.002},
	{"mooncake_conv", "sessions-prefix", false, "uncached imbalance", Tokens, 1.05},
	{"mooncake_conv", "sessions-cost", false, "hits of the oracle that were missed", Missed, 0.002},
	{"mooncake_conv", "sessions-cost", false, "uncached imbalance", Tokens, 1.05},
	{"tau_airline", "prefix", false, "cost imbalance", Cost, 1.16},
	{"tau_airline", "prefix", false, "uncached against the oracle", Uncached, 1.09},
	{"tau_airline", "sessions-prefix", false, "cost imbalance", Cost, 1.16},
	{"tau_airline", "sessions-prefix", false, "uncached against the oracle", Uncached, 1.09},
	{"tau_airline", "sessions-cost", false, "cost imbalance", Cost, 1.16},
	{"tau_airline", "sessions-cost", false, "uncached against the oracle", Uncached, 1.09},
	{"cc6", "", false, "herding (cost imbalance)", Cost, herding},
	{"mooncake_conv", "", false, "herding (cost imbalance)", Cost, herding},
	{"tau_airline", "", false, "herding (cost imbalance)", Cost, herding},
	{"cc6", "prefix", true, "uncached against the oracle", Uncached, 1.08},
	{"cc6", "sessions-prefix", true, "uncached against the oracle", Uncached, 1.08},
}

// failing returns those of the policies that have a target for upstreams that
// fail.
func failing(policies []policy) []policy {
	return slices.DeleteFunc(slices.Clone(policies), func(p policy) bool {
		return !slices.ContainsFunc(targets, func(t target) bool { return t.outage && t.policy == p.key })
	})
}

// check prints how the policies stand to the targets, by the report of a run
// without outages and that of one with them. It returns an error if a target is
// missed. Targets for traces or policies that were not run are left out.
func check(out io.Writer, calm, outages report) error {
	missing := 0
	fmt.Fprintln(out, "\ntargets")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, t := range targets {
		rep, what := calm, t.what
		if t.outage {
			rep, what = outages, what+", each upstream out "+outages.Outage
		}
		for _, tr := range rep.Traces {
			for _, s := range tr.Policies {
				if tr.Trace != t.trace || !s.Ours || t.policy != "" && t.policy != s.Policy {
					continue
				}
				verdict := "reached"
				v := s.Mean[t.of]
				if v > t.most || math.IsNaN(v) {
					verdict = "MISSED"
					missing++
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%.4f\tat most %.4g\n", verdict, tr.Trace, s.Name, what, v, t.most)
			}
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if missing > 0 {
		return fmt.Errorf("%d targets missed", missing)
	}
	return nil
}
