package chart

import (
	"math"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
)

// A Group is a group of bars under a name, which may be empty.
type Group struct {
	Name string
	Bars []Bar
}

// A Bar is one value and how far it spread.
type Bar struct {
	Name          string
	Value, Lo, Hi float64
	Ours          bool // drawn in the strong colour
}

// Bars draws horizontal bars in groups, one below the other, each with its name
// before it and its value behind. On a logarithmic axis a bar's length says
// nothing: it begins below the smallest.
func (f Figure) Bars(groups []Group) []byte {
	const row, size = 17, 9.5
	from := math.Inf(1)   // where the axis begins
	names := vg.Length(0) // how wide they are, with some air for other fonts
	for _, g := range groups {
		for _, b := range g.Bars {
			from = min(from, b.Lo/2)
			names = max(names, 1.1*style(size, nil, b.Ours).Width(b.Name)+6)
		}
	}
	if !f.X.Log {
		from = 0
	}
	p := f.plot()
	p.HideY()
	p.X.Padding, p.Y.Padding = 0, 0
	at := 0.0 // the row, from above
	label := func(x float64, off vg.Length, s text.Style, t string) {
		p.Add(&plotter.Labels{XYs: plotter.XYs{{X: x, Y: at}}, Offset: vg.Point{X: off}, TextStyle: []text.Style{s}, Labels: []string{t}})
	}
	for _, g := range groups {
		if g.Name != "" {
			at -= 1.4
			label(from, -names, style(size, colorMuted, true), g.Name)
		}
		for _, b := range g.Bars {
			at--
			label(from, -names, style(size, colorInk, b.Ours), b.Name)
			bar := &plotter.Line{XYs: plotter.XYs{{X: from, Y: at}, {X: b.Value, Y: at}}}
			bar.Color, bar.Width = colorOf[b.Ours], 0.75*row
			p.Add(bar)
			if b.Hi > b.Lo {
				spread := &plotter.XErrorBars{XYs: bar.XYs[1:], XErrors: plotter.XErrors{{Low: b.Value - b.Lo, High: b.Hi - b.Value}}, CapWidth: 6}
				spread.Color, spread.Width = colorInk, 0.9
				p.Add(spread)
			}
			label(b.Hi, 5, style(9, colorMuted, false), f.X.Format(b.Value))
		}
	}
	p.Y.Min, p.Y.Max = at-0.7, -0.7
	return f.svg(p, vg.Length(-at*row)+110)
}
