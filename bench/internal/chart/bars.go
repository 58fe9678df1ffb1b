package chart

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// A BarChart is what [Bars] draws: horizontal bars in groups, one below the
// other, each with its name before it and its value behind.
type BarChart struct {
	Title    string
	Subtitle string // may have several lines
	Axis     string // what the values are, with their unit
	Groups   []BarGroup

	// Log makes the axis logarithmic. All values must then be above zero, and
	// a bar's length says nothing: the axis begins below the smallest.
	Log bool

	// Format writes a value.
	Format func(v float64) string

	// Note is small print below the axis, such as the machine. It may be empty.
	Note string
}

// A BarGroup is a group of bars under a name, which may be empty.
type BarGroup struct {
	Name string
	Bars []Bar
}

// A Bar is one value and, if Hi is above Lo, how far it spread.
type Bar struct {
	Name   string
	Value  float64
	Lo, Hi float64
	Ours   bool // drawn in the strong colour
}

// Bars writes c as an SVG to w.
func Bars(w io.Writer, c BarChart) error {
	lo, hi, names, labels, n := math.Inf(1), 0.0, 0.0, 0.0, 0
	nameFont, labelFont := font{size: 12.5, color: colorInk, anchor: "end"}, font{size: 12, color: colorMuted}
	for _, g := range c.Groups {
		for _, b := range g.Bars {
			if b.Hi <= b.Lo {
				b.Lo, b.Hi = b.Value, b.Value
			}
			if math.IsNaN(b.Value) || math.IsInf(b.Value, 0) || b.Value < 0 || c.Log && min(b.Value, b.Lo) <= 0 {
				return fmt.Errorf("chart: the bar %q cannot be drawn: %v", b.Name, b.Value)
			}
			n++
			lo, hi = min(lo, b.Value, b.Lo), max(hi, b.Value, b.Hi)
			names = max(names, width(b.Name, font{size: 12.5, bold: b.Ours}))
			labels = max(labels, width(c.Format(b.Value), labelFont))
		}
	}
	if n == 0 {
		return errors.New("chart: no bars")
	}

	const wide, barHigh, gap, groupGap = 860.0, 17.0, 6.0, 12.0
	var cv canvas
	top := cv.head(c.Title, c.Subtitle)
	left := margin + names + 10
	s := scale{lo: 0, hi: max(hi, math.SmallestNonzeroFloat64), from: left, to: wide - margin - labels - 8, log: c.Log}
	if c.Log {
		s.lo, s.hi = lo/2, hi
	}

	bottom := top + 4
	for i, g := range c.Groups {
		if i > 0 {
			bottom += groupGap
		}
		if g.Name != "" {
			bottom += 20
		}
		bottom += float64(len(g.Bars)) * (barHigh + gap)
	}
	last := math.Inf(-1)
	for _, v := range s.ticks(7) {
		x := s.at(v)
		cv.line(x, top, x, bottom, colorGrid, 1)
		if text := c.Format(v); x-width(text, labelFont)/2 > last {
			cv.text(x, bottom+16, font{size: 11.5, color: colorMuted, anchor: "middle"}, text)
			last = x + width(text, labelFont)/2 + 6
		}
	}
	cv.line(left, top, left, bottom, colorFrame, 1)

	y := top + 4
	for i, g := range c.Groups {
		if i > 0 {
			y += groupGap
		}
		if g.Name != "" {
			y += 20
			cv.text(margin, y-6, font{size: 12.5, color: colorMuted, bold: true}, g.Name)
		}
		for _, b := range g.Bars {
			fill, f := colorOther, nameFont
			if b.Ours {
				fill, f.bold = colorOurs, true
			}
			cv.text(left-8, y+barHigh-4, f, b.Name)
			x := s.at(b.Value)
			cv.rect(left, y, max(x-left, 1), barHigh, fill, ` rx="2"`)
			if b.Hi > b.Lo {
				from, to, mid := s.at(b.Lo), s.at(b.Hi), y+barHigh/2
				cv.line(from, mid, to, mid, colorInk, 1.2)
				cv.line(from, mid-4, from, mid+4, colorInk, 1.2)
				cv.line(to, mid-4, to, mid+4, colorInk, 1.2)
				x = max(x, to)
			}
			cv.text(x+6, y+barHigh-4, labelFont, c.Format(b.Value))
			y += barHigh + gap
		}
	}
	y = bottom + 16
	if c.Axis != "" {
		y += 20
		cv.text((left+s.to)/2, y, font{size: 12.5, color: colorInk, anchor: "middle"}, c.Axis)
	}
	if c.Note != "" {
		y += 20
		cv.text(margin, y, font{size: 11, color: colorMuted}, c.Note)
	}
	return cv.writeTo(w, c.Title, wide, y+margin-6)
}
