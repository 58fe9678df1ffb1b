package chart

import (
	"cmp"
	"image"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A Point is a named place, and how far it spreads to either side.
type Point struct {
	Name       string
	X, Y       float64
	XErr, YErr float64
	Ours       bool // drawn large, in the strong colour
}

// radius is how large a point is drawn that is ours, and one that is not.
var radius = map[bool]vg.Length{true: 4.8, false: 3.4}

// Scatter draws points, of which there must be some, with their names.
func (f Figure) Scatter(points []Point) []byte {
	points = slices.SortedStableFunc(slices.Values(points), func(a, b Point) int { // ours choose their places first
		return cmp.Or(cmp.Compare(radius[b.Ours], radius[a.Ours]), cmp.Compare(a.Y, b.Y))
	})
	p := f.plot()
	lo, hi := points[0], points[0]
	for _, q := range points {
		lo.X, lo.Y, hi.X, hi.Y = min(lo.X, q.X), min(lo.Y, q.Y), max(hi.X, q.X), max(hi.Y, q.Y)
	}
	for _, q := range points {
		xy := plotter.XYs{{X: q.X, Y: q.Y}}
		line := draw.LineStyle{Color: colorOf[q.Ours], Width: 0.75}
		// What would reach zero is cut, since that is nowhere on a logarithmic axis.
		p.Add(&plotter.XErrorBars{XYs: xy, LineStyle: line, XErrors: plotter.XErrors{{Low: min(q.XErr, 0.9*q.X), High: q.XErr}}},
			&plotter.YErrorBars{XYs: xy, LineStyle: line, YErrors: plotter.YErrors{{Low: min(q.YErr, 0.9*q.Y), High: q.YErr}}})
	}
	p.Add(named(points))
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = lo.X, 1.6*hi.X, lo.Y/1.8, 1.5*hi.Y
	return f.svg(p, 460)
}

// named draws points with their names.
type named []Point

// Plot puts each name at the first place, from its point outwards, where it hides
// no point and no other name. A thin line leads to those that had to go further.
func (ps named) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	at := make([]vg.Point, len(ps))
	frame := around(c.Center(), c.Size().X/2, c.Size().Y/2)
	var taken []image.Rectangle
	for i, q := range ps {
		at[i] = vg.Point{X: x(q.X), Y: y(q.Y)}
		taken = append(taken, around(at[i], radius[q.Ours]+1, radius[q.Ours]+1))
	}
	for i, q := range ps {
		s := style(8.75, colorInk, false)
		if q.Ours {
			s = style(9.5, colorOf[true], true)
		}
		s.XAlign = draw.XCenter
		w, h := s.Width(q.Name)/2, s.Height(q.Name)/2
		const directions, distances = 16, 12
		for k := range directions * distances {
			far := radius[q.Ours] + 2 + vg.Length(k/directions)*h
			sin, cos := math.Sincos(float64(4*k+k/4) * 2 * math.Pi / directions)
			to := at[i].Add(vg.Point{X: vg.Length(cos) * (far + w), Y: vg.Length(sin) * (far + h)})
			box := around(to, w, h)
			if k+1 < directions*distances && (!box.In(frame) || slices.ContainsFunc(taken, box.Overlaps)) {
				continue
			}
			taken = append(taken, box)
			if k >= directions {
				c.StrokeLine2(draw.LineStyle{Color: colorMuted, Width: 0.5}, at[i].X, at[i].Y, min(max(at[i].X, to.X-w), to.X+w), to.Y)
			}
			c.SetColor(color.White)
			c.Fill(s.Rectangle(q.Name).Add(to).Path())
			c.FillText(s, to, q.Name)
			break
		}
	}
	for i, q := range slices.Backward(ps) { // ours above the others
		c.DrawGlyph(draw.GlyphStyle{Color: color.White, Radius: radius[q.Ours] + 0.8, Shape: draw.CircleGlyph{}}, at[i])
		c.DrawGlyph(draw.GlyphStyle{Color: colorOf[q.Ours], Radius: radius[q.Ours], Shape: draw.CircleGlyph{}}, at[i])
	}
}

// around returns the rectangle that goes so far to the sides of a point, in tenths.
func around(p vg.Point, w, h vg.Length) image.Rectangle {
	return image.Rect(int(10*(p.X-w)), int(10*(p.Y-h)), int(10*(p.X+w)), int(10*(p.Y+h)))
}
