package chart

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// A ScatterChart is what [Scatter] draws: named points, with lower values
// better on both axes, which are logarithmic.
type ScatterChart struct {
	Title    string
	Subtitle string // may have several lines
	X, Y     Axis
	Points   []Point
}

// An Axis is one of the two axes of a [ScatterChart].
type Axis struct {
	Label  string
	Lo, Hi float64                // its ends; points beyond them are drawn at them
	Format func(v float64) string // writes the value of a tick
}

// A Point is a named place, and how far it spreads to either side.
type Point struct {
	Name       string
	X, Y       float64
	XErr, YErr float64
	Ours       bool // drawn large, in the strong colour
}

// Scatter writes c as an SVG to w. Labels are moved until none hides another
// or a point, as far as there is room; a thin line leads to those that had to
// go further.
func Scatter(w io.Writer, c ScatterChart) error {
	if len(c.Points) == 0 {
		return errors.New("chart: no points")
	}
	for _, p := range c.Points {
		if math.IsNaN(p.X+p.Y) || math.IsInf(p.X, 0) || math.IsInf(p.Y, 0) {
			return fmt.Errorf("chart: the point %q cannot be drawn: %v, %v", p.Name, p.X, p.Y)
		}
	}
	const wide, plotHigh, left = 860.0, 470.0, 94.0
	var cv canvas
	top := cv.head(c.Title, c.Subtitle)
	x := scale{lo: c.X.Lo, hi: c.X.Hi, from: left, to: wide - margin - 8, log: true}
	y := scale{lo: c.Y.Lo, hi: c.Y.Hi, from: top + plotHigh, to: top, log: true}
	for _, s := range []scale{x, y} {
		if !(0 < s.lo && s.lo < s.hi) {
			return fmt.Errorf("chart: a logarithmic axis from %v to %v", s.lo, s.hi)
		}
	}

	small := font{size: 11.5, color: colorMuted}
	last := math.Inf(-1) // where the text of the tick before ends
	for _, v := range x.ticks(9) {
		cv.line(x.at(v), y.from, x.at(v), y.to, colorGrid, 1)
		small.anchor = "middle"
		if text := c.X.Format(v); x.at(v)-width(text, small)/2 > last {
			cv.text(x.at(v), y.from+17, small, text)
			last = x.at(v) + width(text, small)/2 + 4
		}
	}
	for _, v := range y.ticks(7) {
		cv.line(x.from, y.at(v), x.to, y.at(v), colorGrid, 1)
		small.anchor = "end"
		cv.text(x.from-8, y.at(v)+4, small, c.Y.Format(v))
	}
	cv.printf(`<path d="M%s %sV%sH%s" fill="none" stroke="%s"/>`, num(x.from), num(y.to), num(y.from), num(x.to), colorFrame)
	cv.text((x.from+x.to)/2, y.from+38, font{size: 12.5, color: colorInk, anchor: "middle"}, c.X.Label)
	cv.text(margin+4, (y.from+y.to)/2, font{size: 12.5, color: colorInk, anchor: "middle", turned: true}, c.Y.Label)

	marks := make([]mark, len(c.Points))
	for i, p := range c.Points {
		m := mark{Point: p, cx: x.at(p.X), cy: y.at(p.Y), r: 4.5, font: font{size: 11.5, color: colorInk}}
		if p.Ours {
			m.r, m.font = 6.5, font{size: 12.5, color: colorOurs, bold: true}
		}
		marks[i] = m
	}
	labels := arrange(marks, box{x.from + 2, y.to + 2, x.to - x.from - 4, y.from - y.to - 4})

	for _, m := range marks {
		color := colorOther
		if m.Ours {
			color = colorOurs
		}
		if m.XErr > 0 {
			cv.line(x.at(m.X-m.XErr), m.cy, x.at(m.X+m.XErr), m.cy, color, 1)
		}
		if m.YErr > 0 {
			cv.line(m.cx, y.at(m.Y-m.YErr), m.cx, y.at(m.Y+m.YErr), color, 1)
		}
	}
	for i, m := range marks {
		if px, py, far := labels[i].nearest(m); far {
			cv.line(m.cx, m.cy, px, py, colorFrame, 1)
		}
	}
	for _, ours := range []bool{false, true} {
		for _, m := range marks {
			if m.Ours != ours {
				continue
			}
			color := colorOther
			if ours {
				color = colorOurs
			}
			cv.printf(`<circle cx="%s" cy="%s" r="%s" fill="%s" stroke="#ffffff" stroke-width="1.2"/>`, num(m.cx), num(m.cy), num(m.r), color)
		}
	}
	for i, m := range marks {
		// A white rim keeps the text apart from what lies below it.
		b := labels[i]
		cv.printf(`<text x="%s" y="%s" font-size="%s" fill="%s" stroke="#ffffff" stroke-width="3" stroke-linejoin="round" paint-order="stroke"%s>%s</text>`,
			num(b.x), num(b.y+b.h-4), num(m.font.size), m.font.color, weight(m.font), escape(m.Name))
	}
	return cv.writeTo(w, c.Title, wide, y.from+38+margin-6)
}

// weight returns the attribute of a bold font, with a space before it.
func weight(f font) string {
	if f.bold {
		return ` font-weight="600"`
	}
	return ""
}

// mark is a point on the canvas.
type mark struct {
	Point
	cx, cy, r float64
	font      font
}

// box is the place of a label.
type box struct{ x, y, w, h float64 }

// overlap is the area that a and b share, each with a little air around.
func (a box) overlap(b box) float64 {
	const air = 1.5
	w := min(a.x+a.w, b.x+b.w) - max(a.x, b.x) + air
	h := min(a.y+a.h, b.y+b.h) - max(a.y, b.y) + air
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h
}

// outside is the area of a that is not in b.
func (a box) outside(b box) float64 {
	w := max(0, min(a.x+a.w, b.x+b.w)-max(a.x, b.x))
	h := max(0, min(a.y+a.h, b.y+b.h)-max(a.y, b.y))
	return a.w*a.h - w*h
}

// nearest returns the point of the label that is nearest to its mark, and
// whether it is so far off that a line should lead there.
func (a box) nearest(m mark) (x, y float64, far bool) {
	x, y = min(max(m.cx, a.x), a.x+a.w), min(max(m.cy, a.y+2), a.y+a.h-2)
	return x, y, math.Hypot(x-m.cx, y-m.cy) > m.r+7
}

// arrange finds a place for the label of every mark, within the frame and as close
// to the mark as it gets without hiding another label or a mark.
func arrange(marks []mark, frame box) []box {
	options := make([][]box, len(marks))
	for i, m := range marks {
		w, h := width(m.Name, m.font), m.font.size+4
		for _, d := range []float64{3, 10, 20, 34, 52, 74, 100} {
			d += m.r
			for k := range 16 {
				// Label centres on a ring; the width moves with the side so
				// that right and left touch the mark with their ends.
				sin, cos := math.Sincos(float64(k) * math.Pi / 8)
				cx, cy := m.cx+cos*(d+w/2), m.cy-sin*(d+h/2)
				if k%8 == 4 { // straight above and below
					cx = m.cx
				}
				options[i] = append(options[i], box{cx - w/2, cy - h/2, w, h})
			}
		}
	}
	// cost is how bad option o is for label i, with the others where at says; -1 is
	// nowhere yet.
	cost := func(i, o int, at []int) float64 {
		b := options[i][o]
		// Near places cost little, so they are taken when free.
		sum := 30*b.outside(frame) + 6*float64(o/16*o/16) + 0.4*float64(o%16)
		for j, m := range marks {
			sum += 10 * b.overlap(box{m.cx - m.r, m.cy - m.r, 2 * m.r, 2 * m.r})
			if j != i && at[j] >= 0 {
				other := options[j][at[j]]
				sum += 10 * b.overlap(other)
				// A leader should not run through another label, either.
				if px, py, far := b.nearest(marks[i]); far {
					sum += 5 * crossing(marks[i].cx, marks[i].cy, px, py, other)
				}
			}
		}
		return sum
	}
	at := slices.Repeat([]int{-1}, len(marks))
	var order []int
	for _, ours := range []bool{true, false} { // ours choose first
		for i, m := range marks {
			if m.Ours == ours {
				order = append(order, i)
			}
		}
	}
	for range 12 { // improve one by one until nothing changes
		changed := false
		for _, i := range order {
			best, least := at[i], math.Inf(1)
			for o := range options[i] {
				if c := cost(i, o, at); c < least {
					best, least = o, c
				}
			}
			if best != at[i] {
				at[i], changed = best, true
			}
		}
		if !changed {
			break
		}
	}
	labels := make([]box, len(marks))
	for i := range marks {
		labels[i] = options[i][at[i]]
	}
	return labels
}

// crossing is about how much of a line lies in b.
func crossing(x1, y1, x2, y2 float64, b box) float64 {
	const steps = 12
	n := 0
	for k := 1; k < steps; k++ {
		f := float64(k) / steps
		if x, y := x1+f*(x2-x1), y1+f*(y2-y1); x > b.x && x < b.x+b.w && y > b.y && y < b.y+b.h {
			n++
		}
	}
	return float64(n) / steps * b.w
}
