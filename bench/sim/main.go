// Sim replays traffic of language models through policies that choose among
// upstreams with prompt caches, and tells what each costs in cache misses and
// in imbalance.
//
//	go run -C bench ./sim
//
// The policies of this library are the library itself: Selectors that are
// driven in virtual time. Those of others are written after their published
// algorithms. The traces are real ones if they are there ($AFFINITY_TRACES,
// ../shared/traces, ../../shared/traces, or -traces), else made by a seeded
// generator that was fitted to them.
//
// Progress goes to the standard error, tables to the standard output, and
// charts to -charts. See -help for what can be changed.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/bench/internal/trace"
	"github.com/go-affinity/affinity/bench/internal/upstream"
)

func main() {
	// Virtual time (testing/synctest) is to be had in a test only, so all of
	// this is one. Its arguments are not those of a test, though.
	testing.Init()
	if err := flag.CommandLine.Parse([]string{"-test.timeout=0"}); err != nil {
		panic(err)
	}
	testing.Main(
		func(string, string) (bool, error) { return true, nil },
		[]testing.InternalTest{{Name: "sim", F: func(t *testing.T) {
			err := run(t, os.Args[1:], os.Stdout, os.Stderr)
			if err != nil {
				fmt.Fprintln(os.Stderr, "sim:", err)
				os.Exit(1)
			}
			os.Exit(0) // before it prints that the test has passed
		}}}, nil, nil)
}

// unknown is the error for a name that is none of those known.
func unknown(what, name string, known []string) error {
	return fmt.Errorf("there is no %s %q, but %s", what, name, strings.Join(known, ", "))
}

func run(t *testing.T, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("sim", flag.ContinueOnError)
	flags.SetOutput(progress)
	var (
		n        = flags.Int("n", 16, "number of upstreams")
		ttl      = flags.Duration("ttl", 5*time.Minute, "life of an upstream's cache after its last use")
		minHit   = flags.Int("minhit", 1024, "least `tokens` that an upstream takes from its cache")
		capacity = flags.Int("capacity", 0, "`tokens` that an upstream's cache holds; 0 for any number")
		count    = flags.Int("seeds", 5, "number of arrival seeds")
		first    = flags.Uint64("seed", 1, "the first of them")
		list     = flags.String("policies", "all", "comma-separated `keys`: "+strings.Join(keys(), ", "))
		names    = flags.String("trace", strings.Join(traceNames(), ","), "comma-separated `names` of traces")
		dir      = flags.String("traces", "", "`directory` of the trace files, or \"none\" to use the generator (default $AFFINITY_TRACES, or shared/traces beside the repository)")
		outage   = flags.String("outage", "", "take every upstream out, one after the other: `for/every`, such as 10m/2h")
		flap     = flags.String("flap", "", "like -outage, in addition: `for/every`, such as 30s/5m")
		rate     = flags.Float64("rate", 0, "uncached `tokens` a minute after which an upstream answers 429; 0 for no limit")
		cooldown = flags.Duration("cooldown", 30*time.Second, "how long the gateway leaves out an upstream that failed")
		spread   = flags.Float64("spread", 0, "`hours` that the starts of sessions are spread over; 0 for those of the trace")
		grain    = flags.Int("grain", 1024, "`tokens` between the boundaries of a prompt")
		tail     = flags.Int("tail", 4, "`number` of earlier prompts at whose ends a prompt has boundaries as well")
		parallel = flags.Int("parallel", runtime.GOMAXPROCS(0), "runs at the same time")
		halfLife = flags.Duration("halflife", 0, "half-life of costs in LeastCost and Prefix; 0 for their default")
		failover = flags.String("failover", "rebind", "what the library does when a session's home fails: rebind or return")
		asJSON   = flags.String("json", "", "write all figures to this `file`")
		charts   = flags.String("charts", "", "`directory` for the charts; \"charts\" if nothing is changed that they show")
		other    = flags.Bool("others", false, "in place of the traces, take what is derived from them and other extremes")
		targets  = flags.Bool("targets", false, "check the targets and fail if one is missed; as it is if nothing is changed that they are for")
	)
	if err := flags.Parse(args); err != nil {
		if err == flag.ErrHelp {
			return nil
		}
		return err
	}
	usual := true // nothing is changed that charts and targets are for
	flags.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "traces", "parallel", "json", "targets", "charts":
		default:
			usual = false
		}
	})
	if *charts == "" && usual {
		*charts = "charts"
	}
	chosenPolicies, err := chosen(*list)
	if err != nil {
		return err
	}
	cond := conditions{
		upstreams: upstream.Config{
			N: *n, TTL: *ttl, MinHit: *minHit, Delay: 500 * time.Millisecond, Rate: 20000, Capacity: *capacity,
		},
		rate:     *rate,
		cooldown: *cooldown,
		grain:    *grain,
		tail:     *tail,
		halfLife: *halfLife,
	}
	switch *failover {
	case "rebind":
		cond.failover = affinity.FailoverRebind
	case "return":
		cond.failover = affinity.FailoverReturn
	default:
		return unknown("failover policy", *failover, []string{"rebind", "return"})
	}
	if cond.outage, err = parseSchedule(*outage); err != nil {
		return err
	}
	if cond.flap, err = parseSchedule(*flap); err != nil {
		return err
	}
	if *n < 1 || *n > maxUpstreams || *count < 1 {
		return fmt.Errorf("-n is 1 to %d, -seeds is at least 1", maxUpstreams)
	}
	seeds := seeds{*first, *count}
	began := time.Now()
	if *other {
		return simulateOthers(t, *dir, chosenPolicies, cond, seeds, *parallel, out, progress)
	}
	var workloads []*workload
	for name := range strings.SplitSeq(*names, ",") {
		w, err := find(name, *dir, time.Duration(*spread*float64(time.Hour)))
		if err != nil {
			return err
		}
		from := "read"
		if w.made {
			from = "no trace file: made by the generator"
		}
		fmt.Fprintf(progress, "%s: %d requests, %s\n", name, len(w.trace.Requests), from)
		workloads = append(workloads, w)
		usual = usual && !w.made // the targets were set on the real ones
	}
	results, err := simulate(t, workloads, chosenPolicies, cond, seeds, *parallel, progress)
	if err != nil {
		return err
	}
	rep := newReport(results, workloads, cond, *count)
	rep.print(out)
	if *asJSON != "" {
		if err := rep.writeJSON(*asJSON); err != nil {
			return err
		}
	}
	if *charts != "" {
		if err := rep.draw(*charts); err != nil {
			return err
		}
	}
	if *targets || usual {
		// Some of them are for upstreams that fail.
		cond.outage = schedule{10 * time.Minute, 2 * time.Hour}
		results, err := simulate(t, workloads, failing(chosenPolicies), cond, seeds, *parallel, progress)
		if err != nil {
			return err
		}
		if err := check(out, rep, newReport(results, workloads, cond, *count)); err != nil {
			return err
		}
	}
	fmt.Fprintf(progress, "%s\n", time.Since(began).Round(100*time.Millisecond))
	return nil
}

// parseSchedule reads "10m/2h".
func parseSchedule(s string) (schedule, error) {
	if s == "" {
		return schedule{}, nil
	}
	out, every, ok := strings.Cut(s, "/")
	o, err1 := time.ParseDuration(out)
	e, err2 := time.ParseDuration(every)
	if !ok || err1 != nil || err2 != nil || o <= 0 || o >= e {
		return schedule{}, fmt.Errorf("%q is not two durations such as 10m/2h", s)
	}
	return schedule{o, e}, nil
}

// spreads are the times over which the starts of a trace's sessions are spread.
var spreads = []struct {
	name   string
	spread time.Duration
}{
	{"cc6", 8 * time.Hour},
	{"mooncake_conv", 0},
	{"tau_airline", 30 * time.Minute},
}

func traceNames() []string {
	var all []string
	for _, s := range spreads {
		all = append(all, s.name)
	}
	return all
}

// open reads a trace, or makes it up if there is no file.
func open(name, dir string) (t *trace.Trace, made bool, err error) {
	dirs := []string{dir}
	if dir == "" {
		dirs = []string{os.Getenv("AFFINITY_TRACES"), "../shared/traces", "../../shared/traces"}
	}
	for _, d := range dirs {
		if d == "" || d == "none" {
			continue
		}
		t, err := trace.Open(filepath.Join(d, name+".tsv.gz"))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		t.Name = name
		return t, false, nil
	}
	t, err = trace.Generate(name, 1)
	return t, true, err
}

// find makes a workload of a trace.
func find(name, dir string, spread time.Duration) (*workload, error) {
	w := &workload{spread: spread}
	var err error
	if w.trace, w.made, err = open(name, dir); err != nil {
		return nil, err
	}
	for _, s := range spreads {
		if s.name == name && w.spread == 0 {
			w.spread = s.spread
		}
	}
	if w.spread == 0 {
		w.spread = max(8*time.Hour, w.trace.Span())
	}
	w.trie = w.trace.Trie(scorerCap)
	return w, nil
}
