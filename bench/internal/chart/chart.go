// Package chart draws the figures of the benchmarks as SVG files, with gonum's plot.
// They have a white ground, so they read the same on a light page and on a dark one.
//
// What is drawn depends on the input alone: the same data give the same bytes,
// so a figure in version control changes only when its numbers do.
package chart

import (
	"bytes"
	"image/color"
	"math"
	"strconv"
	"strings"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A Figure is all of a chart but what is drawn in it.
type Figure struct {
	Title    string
	Subtitle string // may have several lines
	X, Y     Axis   // bars need no Y
	Note     string // small print below, such as the machine; may be empty
}

// An Axis says what is drawn along it, and how.
type Axis struct {
	Label  string
	Log    bool                   // logarithmic: all values must be above zero
	Format func(v float64) string // writes a value
}

// The palette: what is ours and what is not, and what holds both.
var (
	colorOf    = map[bool]color.Color{true: color.RGBA{0x0b, 0x6b, 0xcb, 0xff}, false: color.RGBA{0x8a, 0x94, 0xa3, 0xff}}
	colorInk   = color.RGBA{0x1f, 0x29, 0x33, 0xff}
	colorMuted = color.RGBA{0x5f, 0x6c, 0x7b, 0xff}
	colorGrid  = color.RGBA{0xdc, 0xe0, 0xe6, 0xff}
)

// style says how a text is set.
func style(size vg.Length, c color.Color, bold bool) text.Style {
	// By -0.5 the library sets the middle between the longest strokes, which looks low.
	s := text.Style{Color: c, YAlign: -0.4, Handler: plot.DefaultTextHandler}
	s.Font.Typeface, s.Font.Variant, s.Font.Size = "Liberation", "Sans", size
	if bold {
		s.Font.Weight = xfont.WeightBold
	}
	return s
}

// plot returns an empty plot with the scales of f and a grid.
func (f Figure) plot() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	scale(&p.X, f.X)
	scale(&p.Y, f.Y)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Vertical.Width = colorGrid, 0.6
	grid.Horizontal = grid.Vertical
	p.Add(grid)
	return p
}

// scale makes a what as says.
func scale(a *plot.Axis, as Axis) {
	a.Color, a.Tick.Length = colorGrid, 0
	a.Tick.Label.Color, a.Tick.Label.Font = colorMuted, style(8.5, nil, false).Font
	if as.Log {
		a.Scale = plot.LogScale{}
	}
	a.Tick.Marker = plot.TickerFunc(func(lo, hi float64) []plot.Tick {
		ticks := plot.DefaultTicks{}.Ticks(lo, hi)
		if as.Log {
			ticks = plot.LogTicks{}.Ticks(lo/10, hi) // by ten, since below 1 it begins too late
		}
		for i, t := range ticks {
			// LogTicks names powers of ten only, of which there are few as a rule.
			digit := strconv.FormatFloat(t.Value, 'e', 0, 64)[0]
			if t.Label != "" || as.Log && hi/lo < 5e4 && (digit == '2' || digit == '5') {
				ticks[i].Label = as.Format(t.Value)
			}
		}
		return ticks
	})
}

// svg draws p and what is written around it. (The library would write the names of
// axes, too, but leaves odd gaps if these are logarithmic.)
func (f Figure) svg(p *plot.Plot, high vg.Length) []byte {
	const wide, margin = 645, 16
	svg := vgsvg.New(wide, high)
	c := draw.New(svg)
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	c = draw.Crop(c, margin, -margin, margin, -margin)

	s := style(13.5, colorInk, true)
	s.YAlign = draw.YTop
	for line := range strings.Lines(f.Title + "\n" + f.Subtitle) {
		c.FillText(s, vg.Point{X: c.Min.X, Y: c.Max.Y}, line)
		c.Max.Y -= s.Font.Size * 1.35
		s.Font, s.Color = style(9.5, nil, false).Font, colorMuted
	}
	c.Max.Y -= 6
	if f.Note != "" {
		c.FillText(style(8.25, colorMuted, false), vg.Point{X: c.Min.X, Y: c.Min.Y + 4}, f.Note)
		c.Min.Y += 16
	}
	s = style(9.5, colorInk, false)
	s.XAlign = draw.XCenter
	c.FillText(s, vg.Point{X: c.Center().X, Y: c.Min.Y + 4}, f.X.Label)
	c.Min.Y += 18
	if f.Y.Label != "" {
		s.Rotation = math.Pi / 2
		c.FillText(s, vg.Point{X: c.Min.X + 4, Y: c.Center().Y}, f.Y.Label)
		c.Min.X += 16
	}
	p.Draw(c)

	var b bytes.Buffer
	_, _ = svg.WriteTo(&b) // a Buffer does not fail
	// Who lacks the library's font has one of the same widths.
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"),
		[]byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;"))
}
