// Speed measures how fast package affinity is, beside a plain implementation
// and the libraries that one would build it from, all in one run.
//
//	go run -C bench ./speed                         # from the root of the repository
//	go run -C bench ./speed -quick                  # a look in half a minute
//	go run -C bench ./speed -run 'header|table'     # some groups only
//	go run -C bench ./speed -json /tmp/result.json  # for ./speed/report
//
// Everything that is compared takes turns, in slices of some milliseconds, round
// after round, so that whatever else the machine does affects all of it alike. What
// is printed is the median over the rounds and, in brackets, the quartiles; a ratio
// is that of two samples of the same round. Below each group stand its targets, and
// whether they are met. A missed target does not change the exit status, since the
// machine may be the reason; a group that cannot be measured does.
//
// Results go to standard output, progress to standard error if that is a terminal.
//
// To measure something else, add a group to groups, or a race or a row to one; what of it
// README.md shows is said in ./speed/report, in sections and chartsOf. The text above the tables
// there, about what is missed and by how much, is written by hand, of what two runs have in common.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-affinity/affinity/bench/speed/internal/lap"
	"github.com/go-affinity/affinity/bench/speed/internal/result"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if len(os.Args) > 2 && os.Args[1] == "child" {
		if err := child(ctx, os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "speed: child:", err)
			os.Exit(1)
		}
		return
	}
	err := run(ctx, os.Args[1:], os.Stdout, progress(os.Stderr))
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "speed:", err)
		os.Exit(1)
	}
}

// A group measures figures that belong together. Its run leaves the name of the
// result to its caller.
type group struct {
	name string
	run  func(*setting) (result.Group, error)
}

// groups are all there are, in the order in which they are measured.
//
// Tables of millions of sessions come late: whatever is measured in the process
// after them, in a heap that has been gigabytes large, takes up to four times as
// long. (What comes behind them here is measured in processes of its own.)
var groups = []group{
	{"header", header},
	{"scaling", scaling},
	{"cold", cold},
	{"bodyid", bodyID},
	{"messages", messages},
	{"formats", formats},
	{"shapes", shapes},
	{"hostile", hostile},
	{"table", table},
	{"memory", memory},
	{"stall", stall},
	{"gateway", gateway},
	{"streaming", streaming},
}

// A setting is one run of the command, as its groups see it. The context ends
// when the command is interrupted.
type setting struct {
	context.Context
	quick bool
	track lap.Track // how to measure what takes turns; its Log shows progress
	tmp   string    // a directory that is removed at the end
}

// pick returns full, or quick if the run is to be a quick one.
func pick[T any](s *setting, full, quick T) T {
	if s.quick {
		return quick
	}
	return full
}

// say reports progress: one line.
func (s *setting) say(format string, args ...any) { s.track.Log(fmt.Sprintf(format, args...)) }

// turns has the rows of a race measured by turns, where a slice is not what is timed.
func (s *setting) turns(race *result.Race, rounds int, sample func(row int) (float64, error)) error {
	return lap.Track{Rounds: rounds, Log: s.track.Log}.Turns(race, sample)
}

// progress returns what shows a line of progress in place of the one before, if f is a
// terminal.
func progress(f *os.File) func(line string) {
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func(string) {}
	}
	return func(line string) { fmt.Fprintf(f, "\r\x1b[K%s", line) }
}

func run(ctx context.Context, args []string, stdout io.Writer, log func(line string)) error {
	f := flag.NewFlagSet("speed", flag.ContinueOnError)
	f.SetOutput(os.Stderr)
	quick := f.Bool("quick", false, "take half a minute in place of several: few rounds, small tables; not to be quoted")
	file := f.String("json", "", "write the result to this `file`, for ./speed/report")
	only := f.String("run", "", "measure only the groups that match this `regexp`: "+names())
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: see -help", f.Arg(0))
	}
	chosen, err := matching(*only)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	s := &setting{
		Context: ctx,
		quick:   *quick,
		track:   lap.Track{Slice: 10 * time.Millisecond, Rounds: 21},
	}
	if s.quick {
		s.track.Slice, s.track.Rounds = 2*time.Millisecond, 5
	}
	if s.tmp, err = os.MkdirTemp("", "speed"); err != nil {
		return err
	}
	defer os.RemoveAll(s.tmp)

	if *file != "" {
		// To find out after some minutes that it cannot be written is too late.
		// What is in it stays until there is something to write.
		w, err := os.OpenFile(*file, os.O_CREATE|os.O_WRONLY, 0o666)
		if err != nil {
			return fmt.Errorf("-json: %w", err)
		}
		w.Close()
	}
	start := time.Now()
	out := &result.Run{
		When:     start.UTC().Truncate(time.Second),
		Go:       runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
		CPU:      cpu(),
		Procs:    runtime.GOMAXPROCS(0),
		Revision: revision(),
		Quick:    s.quick,
	}
	explain(stdout, out)
	failed := s.measureAll(chosen, out, stdout, log)
	if ctx.Err() != nil {
		return errors.New("interrupted: nothing is written")
	}
	out.Took = time.Since(start).Seconds()
	summary(stdout, out)
	if *file != "" {
		if err := write(*file, out); err != nil {
			failed = append(failed, fmt.Errorf("-json: %w", err))
		}
	}
	return errors.Join(failed...)
}

// matching returns the groups that match a regular expression.
func matching(only string) ([]group, error) {
	match, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	chosen := slices.DeleteFunc(slices.Clone(groups), func(g group) bool { return !match.MatchString(g.name) })
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no group matches %q; the groups are %s", only, names())
	}
	return chosen, nil
}

// write writes a result to a file, whole or not at all.
func write(file string, out *result.Run) error {
	var b bytes.Buffer
	if err := out.Write(&b); err != nil {
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o666)
}

// measureAll has the groups measure, one after the other, and shows what they find. It returns why
// some could not, which should not cost us the others.
func (s *setting) measureAll(chosen []group, out *result.Run, stdout io.Writer, log func(line string)) (failed []error) {
	for i, g := range chosen {
		began := time.Now()
		prefix := fmt.Sprintf("%s (%d of %d): ", g.name, i+1, len(chosen))
		s.track.Log = func(line string) { log(prefix + line) }
		done, err := s.measure(g)
		log("")
		if s.Err() != nil {
			return nil
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", g.name, err))
			continue
		}
		out.Groups = append(out.Groups, done)
		show(stdout, done)
		fmt.Fprintf(stdout, "(%.1f s)\n", time.Since(began).Seconds())
		runtime.GC()
		debug.FreeOSMemory()
	}
	return failed
}

// measure has a group measure. If the context ends first, measure gives the
// group a moment to stop its processes and then leaves it behind: a group that
// takes turns does not look at the context, and may take minutes.
func (s *setting) measure(g group) (result.Group, error) {
	var out result.Group
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		out, err = g.run(s)
		out.Name = g.name
	}()
	select {
	case <-done:
		return out, err
	case <-s.Done():
	}
	select {
	case <-done:
	case <-time.After(2 * time.Second):
	}
	return result.Group{}, s.Err()
}

// names lists the groups.
func names() string {
	var list []string
	for _, g := range groups {
		list = append(list, g.name)
	}
	return strings.Join(list, ", ")
}

// cpu returns the name of the processor, where there is a way to know.
func cpu() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// revision returns the commit of the library that is measured, with a plus sign
// if files outside of bench have been changed since.
func revision() string {
	hash, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	changes, _ := exec.Command("git", "status", "--porcelain", ":/", ":!/bench").Output()
	if len(changes) > 0 {
		return strings.TrimSpace(string(hash)) + "+"
	}
	return strings.TrimSpace(string(hash))
}
