// Package result holds what a run of the speed command has measured, as it
// goes into its JSON file and from there into tables and charts.
package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// A Run is one run of the speed command.
type Run struct {
	When     time.Time `json:"when"`
	Took     float64   `json:"took_seconds"`
	Go       string    `json:"go"`
	Platform string    `json:"platform"`
	CPU      string    `json:"cpu"`
	Procs    int       `json:"procs"`
	Revision string    `json:"revision"` // of the repository, with "+" if files were changed
	Quick    bool      `json:"quick"`    // too short to be quoted
	Groups   []Group   `json:"groups"`
}

// A Group holds figures that belong together, such as all about headers, and how
// they stand to their targets.
type Group struct {
	Name     string    `json:"name"`
	Title    string    `json:"title"`
	Notes    []string  `json:"notes,omitempty"` // what is compared, and what is not the same
	Races    []Race    `json:"races"`
	Verdicts []Verdict `json:"verdicts"`
}

// A Race compares several ways to do one thing. As a rule they were measured by
// turns, so that the samples of one round belong together.
type Race struct {
	Name string `json:"name"` // unique in its group
	Unit string `json:"unit"` // of all samples
	Rows []Row  `json:"rows"`
}

// A Row is one way to do the thing of its race. It has samples, or says why not.
type Row struct {
	Name    string    `json:"name"`              // unique in its race
	Samples []float64 `json:"samples"`           // one for each round
	Size    int       `json:"size,omitempty"`    // bytes that one operation reads, if that is how speed is told
	Allocs  *Allocs   `json:"allocs,omitempty"`  // nil if not counted
	Missing string    `json:"missing,omitempty"` // why there are no samples
}

// Allocs is what one operation allocates.
type Allocs struct {
	Objects float64 `json:"objects"`
	Bytes   float64 `json:"bytes"`
}

// A Verdict compares a figure with its target.
type Verdict struct {
	Target string  `json:"target"` // in words
	Value  Spread  `json:"value"`
	Unit   string  `json:"unit"` // "x" for ratios
	Limit  float64 `json:"limit"`
	AtMost bool    `json:"at_most"` // otherwise Limit is the least that will do
	Note   string  `json:"note,omitempty"`
}

// AtMost adds a target to g: value is to be no more than limit.
func (g *Group) AtMost(target string, value Spread, limit float64, unit, note string) {
	g.Verdicts = append(g.Verdicts, Verdict{Target: target, Value: value, Limit: limit, Unit: unit, AtMost: true, Note: note})
}

// AtLeast adds a target to g: value is to be no less than limit.
func (g *Group) AtLeast(target string, value Spread, limit float64, unit, note string) {
	g.Verdicts = append(g.Verdicts, Verdict{Target: target, Value: value, Limit: limit, Unit: unit, Note: note})
}

// Met reports whether the median meets the target. Without a sample nothing does.
func (v Verdict) Met() bool { return v.Value.N > 0 && v.meets(v.Value.Median) }

// Close reports whether the quartiles disagree on whether the target is met.
func (v Verdict) Close() bool { return v.meets(v.Value.Q1) != v.meets(v.Value.Q3) }

func (v Verdict) meets(x float64) bool {
	if v.AtMost {
		return x <= v.Limit
	}
	return x >= v.Limit
}

// Word says how the figure stands to its target: "met" or "missed", and
// "(close)" behind that where Close is true.
func (v Verdict) Word() string {
	word := "missed"
	if v.Met() {
		word = "met"
	}
	if v.Close() {
		word += " (close)"
	}
	return word
}

// A Spread is the median and the quartiles of some samples.
type Spread struct {
	Median float64 `json:"median"`
	Q1     float64 `json:"q1"`
	Q3     float64 `json:"q3"`
	N      int     `json:"n"`
}

// SpreadOf returns the spread of samples: of none, zero. Between two samples it
// interpolates.
func SpreadOf(samples []float64) Spread {
	if len(samples) == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(samples))
	return Spread{Median: quantile(s, 0.5), Q1: quantile(s, 0.25), Q3: quantile(s, 0.75), N: len(s)}
}

func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	part := at - float64(i)
	return sorted[i]*(1-part) + sorted[i+1]*part
}

// Pairwise applies f to the samples of a and b that were taken in the same
// round, so that what disturbed both cancels out.
func Pairwise(a, b []float64, f func(a, b float64) float64) []float64 {
	n := min(len(a), len(b))
	out := make([]float64, n)
	for i := range out {
		out[i] = f(a[i], b[i])
	}
	return out
}

// Ratio returns the spread of a's samples divided by b's, round by round.
func Ratio(a, b Row) Spread {
	return SpreadOf(Pairwise(a.Samples, b.Samples, func(a, b float64) float64 { return a / b }))
}

// Difference returns the spread of a's samples less b's, round by round.
func Difference(a, b Row) Spread {
	return SpreadOf(Pairwise(a.Samples, b.Samples, func(a, b float64) float64 { return a - b }))
}

// Spread returns the spread of the row's samples.
func (r Row) Spread() Spread { return SpreadOf(r.Samples) }

// Speed returns the spread of the row in GB/s. The samples must be nanoseconds
// for Size bytes.
func (r Row) Speed() Spread {
	return SpreadOf(Pairwise(r.Samples, r.Samples, func(ns, _ float64) float64 { return float64(r.Size) / ns }))
}

// Row returns the row of that name. If there is none, it is a row without samples.
func (r Race) Row(name string) Row {
	for _, row := range r.Rows {
		if row.Name == name {
			return row
		}
	}
	return Row{Name: name, Missing: "not measured"}
}

// Group returns the group of that name.
func (r *Run) Group(name string) (Group, bool) {
	for _, g := range r.Groups {
		if g.Name == name {
			return g, true
		}
	}
	return Group{}, false
}

// Met returns how many of the targets are met, and how many there are.
func (r *Run) Met() (met, all int) {
	for _, g := range r.Groups {
		for _, v := range g.Verdicts {
			all++
			if v.Met() {
				met++
			}
		}
	}
	return met, all
}

// Write writes r as JSON.
func (r *Run) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// Read reads what Write wrote: a file that is damaged, is of another version of the
// speed command or lacks figures is an error.
func Read(r io.Reader) (*Run, error) {
	var run Run
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	err := d.Decode(&run)
	if err == nil {
		err = run.check()
	}
	if _, end := d.Token(); err == nil && end != io.EOF {
		err = errors.New("there is more behind it")
	}
	if err != nil {
		return nil, fmt.Errorf("this is no result of the speed command, or of another version of it: %w", err)
	}
	return &run, nil
}

// check returns why a run is not one that Write wrote.
func (r *Run) check() error {
	if len(r.Groups) == 0 {
		return errors.New("it has no groups")
	}
	for _, g := range r.Groups {
		measured := false
		for _, race := range g.Races {
			for _, row := range race.Rows {
				if len(row.Samples) == 0 && row.Missing == "" {
					return fmt.Errorf("its group %q has no figure of %q", g.Name, row.Name)
				}
				measured = measured || len(row.Samples) > 0
			}
		}
		if !measured {
			return fmt.Errorf("its group %q has no figures", g.Name)
		}
	}
	return nil
}

// Format writes x with three digits, and large numbers with thousands set
// apart.
func Format(x float64) string {
	a := math.Abs(x)
	switch {
	case a == 0:
		return "0"
	case a < 0.1:
		return fmt.Sprintf("%.3f", x)
	case a < 10:
		return fmt.Sprintf("%.2f", x)
	case a < 100:
		return fmt.Sprintf("%.1f", x)
	}
	s := fmt.Sprintf("%.0f", a)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if x < 0 {
		s = "-" + s
	}
	return s
}

// String is the median and, in brackets, the quartiles.
func (s Spread) String() string {
	if s.N == 0 {
		return "-"
	}
	if s.N == 1 {
		return Format(s.Median)
	}
	return Format(s.Median) + " [" + Format(s.Q1) + ", " + Format(s.Q3) + "]"
}
