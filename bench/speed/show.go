package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/go-affinity/affinity/bench/speed/internal/result"
)

// explain prints what is measured, where, and how to read what follows.
func explain(w io.Writer, r *result.Run) {
	fmt.Fprintf(w, "%s, %s, %d processors (%s), revision %s\n", r.Go, r.Platform, r.Procs, r.CPU, r.Revision)
	if r.Quick {
		fmt.Fprint(w, "A QUICK RUN, NOT TO BE QUOTED.\n")
	}
	fmt.Fprint(w, `
The rows of a table took turns, round after round. A figure is the median over the rounds and, in
brackets, the quartiles. "x first" is how many times the figure of the first row (ours) a row has:
more is slower, or larger. Both samples of a ratio are of the same round, so it holds on a busy
machine, too; times say as much about the machine as about us. "allocs" and "bytes" are what one
operation allocates. "GB/s" is the size of the body divided by the time.

Targets: "met" and "missed" go by the median; "(close)" says that the quartiles do not agree. Where
the figure of a target is not in the table, a note behind the target says how it was worked out.
`)
}

// show prints the tables of a group and how it stands to its targets.
func show(w io.Writer, g result.Group) {
	fmt.Fprintf(w, "\n== %s: %s\n", g.Name, g.Title)
	for _, note := range g.Notes {
		fmt.Fprintf(w, "   %s\n", note)
	}
	for _, race := range g.Races {
		fmt.Fprintf(w, "\n%s\n", race.Name)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		sized, counted := false, false
		for _, row := range race.Rows {
			sized = sized || row.Size > 0
			counted = counted || row.Allocs != nil
		}
		fmt.Fprintf(t, "\t%s\t", race.Unit)
		if sized {
			fmt.Fprint(t, "GB/s\t")
		}
		fmt.Fprint(t, "x first\t")
		if counted {
			fmt.Fprint(t, "allocs\tbytes\t")
		}
		fmt.Fprintln(t)
		for _, row := range race.Rows {
			if row.Missing != "" {
				fmt.Fprintf(t, "%s\t(%s)\t\n", row.Name, row.Missing)
				continue
			}
			fmt.Fprintf(t, "%s\t%s\t", row.Name, row.Spread())
			if sized {
				speed := "-"
				if row.Size > 0 {
					speed = row.Speed().String()
				}
				fmt.Fprintf(t, "%s\t", speed)
			}
			fmt.Fprintf(t, "%s\t", result.Ratio(row, race.Rows[0]))
			if row.Allocs != nil {
				fmt.Fprintf(t, "%s\t%s\t", result.Format(row.Allocs.Objects), result.Format(row.Allocs.Bytes))
			}
			fmt.Fprintln(t)
		}
		t.Flush()
	}
	if len(g.Verdicts) > 0 {
		fmt.Fprintln(w)
		verdicts(w, g)
	}
}

// verdicts prints how the figures of a group stand to their targets.
func verdicts(w io.Writer, g result.Group) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range g.Verdicts {
		sense := "at least"
		if v.AtMost {
			sense = "at most"
		}
		fmt.Fprintf(t, "%s\t%s\t%s %s\t%s %s %s\t%s\n", v.Word(), v.Target, v.Value, v.Unit, sense, result.Format(v.Limit), v.Unit, v.Note)
	}
	t.Flush()
}

// summary prints all targets once more.
func summary(w io.Writer, r *result.Run) {
	met, all := r.Met()
	fmt.Fprintf(w, "\n== %d of %d targets met, in %.0f s\n", met, all, r.Took)
	for _, g := range r.Groups {
		fmt.Fprintf(w, "\n%s\n", g.Name)
		verdicts(w, g)
	}
}
