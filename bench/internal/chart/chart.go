// Package chart draws the figures of the benchmarks as SVG files that need
// nothing else: no script, no style sheet, no font but the reader's own. They
// have a white ground, so they read the same on a light page and on a dark one.
//
// What is drawn depends on the input alone: the same data give the same bytes,
// so a figure in version control changes only when its numbers do.
package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The palette: ours, theirs, and what holds them.
const (
	colorOurs  = "#0b6bcb"
	colorOther = "#8a94a3"
	colorInk   = "#1f2933"
	colorMuted = "#5f6c7b"
	colorGrid  = "#e6e9ee"
	colorFrame = "#c5ccd6"
)

const fonts = `-apple-system,BlinkMacSystemFont,'Segoe UI',Helvetica,Arial,sans-serif`

// margin is the space between a figure's edge and its text.
const margin = 22.0

// canvas collects the elements of a figure.
type canvas struct{ buf bytes.Buffer }

func (c *canvas) printf(format string, args ...any) { fmt.Fprintf(&c.buf, format+"\n", args...) }

// num writes a coordinate: to a tenth, which no eye tells from less.
func num(v float64) string {
	v = math.Round(v*10) / 10
	if v == 0 {
		return "0" // not -0
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

func (c *canvas) line(x1, y1, x2, y2 float64, color string, width float64) {
	c.printf(`<line x1="%s" y1="%s" x2="%s" y2="%s" stroke="%s" stroke-width="%s"/>`,
		num(x1), num(y1), num(x2), num(y2), color, num(width))
}

func (c *canvas) rect(x, y, w, h float64, fill, attributes string) {
	c.printf(`<rect x="%s" y="%s" width="%s" height="%s" fill="%s"%s/>`, num(x), num(y), num(w), num(h), fill, attributes)
}

// font says how a text is set.
type font struct {
	size   float64
	color  string
	bold   bool
	anchor string // start if empty
	turned bool   // read from below
}

func (c *canvas) text(x, y float64, f font, s string) {
	if s == "" {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<text x="%s" y="%s" font-size="%s" fill="%s"`, num(x), num(y), num(f.size), f.color)
	if f.bold {
		b.WriteString(` font-weight="600"`)
	}
	if f.anchor != "" {
		fmt.Fprintf(&b, ` text-anchor="%s"`, f.anchor)
	}
	if f.turned {
		fmt.Fprintf(&b, ` transform="rotate(-90 %s %s)"`, num(x), num(y))
	}
	b.WriteString(">" + escape(s) + "</text>")
	c.printf("%s", b.String())
}

// escape makes s fit for a text or an attribute.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}

// width is about how wide s is, on the safe side.
func width(s string, f font) float64 {
	per := 0.54
	if f.bold {
		per = 0.58
	}
	return per * f.size * float64(utf8.RuneCountInString(s))
}

// head draws title and subtitle, and returns where the figure goes on.
func (c *canvas) head(title, subtitle string) float64 {
	y := margin
	if title != "" {
		y += 12
		c.text(margin, y, font{size: 18, color: colorInk, bold: true}, title)
		y += 8
	}
	if subtitle != "" {
		for line := range strings.SplitSeq(subtitle, "\n") {
			y += 13
			c.text(margin, y, font{size: 12.5, color: colorMuted}, line)
			y += 4
		}
	}
	return y + 8
}

// writeTo writes the figure, of the given size, to w.
func (c *canvas) writeTo(w io.Writer, title string, wide, high float64) error {
	var head bytes.Buffer
	fmt.Fprintf(&head, `<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %[1]s %[2]s" font-family="%s" role="img">`+"\n",
		num(wide), num(high), fonts)
	fmt.Fprintf(&head, "<title>%s</title>\n", escape(title))
	fmt.Fprintf(&head, `<rect x="0.5" y="0.5" width="%s" height="%s" rx="8" fill="#ffffff" stroke="%s"/>`+"\n",
		num(wide-1), num(high-1), colorFrame)
	if _, err := head.WriteTo(w); err != nil {
		return err
	}
	c.printf("</svg>")
	_, err := c.buf.WriteTo(w)
	return err
}

// scale maps values to coordinates.
type scale struct {
	lo, hi   float64 // values, in the order of the coordinates
	from, to float64 // coordinates
	log      bool
}

// at returns the coordinate of v; values beyond the ends lie at the ends.
func (s scale) at(v float64) float64 {
	v = min(max(v, s.lo), s.hi)
	if s.log {
		return s.from + (s.to-s.from)*(math.Log(v)-math.Log(s.lo))/(math.Log(s.hi)-math.Log(s.lo))
	}
	return s.from + (s.to-s.from)*(v-s.lo)/(s.hi-s.lo)
}

// ticks returns round values from lo to hi: about n of them, or 1, 2 and 5 of
// every power of ten (1 alone where there are many) if the scale is logarithmic.
func (s scale) ticks(n int) []float64 {
	var ticks []float64
	if s.log {
		digits := []float64{1, 2, 5}
		if math.Log10(s.hi/s.lo)*3 > 2*float64(n) {
			digits = digits[:1]
		}
		for e := math.Floor(math.Log10(s.lo)); e <= math.Ceil(math.Log10(s.hi)); e++ {
			for _, d := range digits {
				if v := d * math.Pow(10, e); v >= s.lo*0.999 && v <= s.hi*1.001 {
					ticks = append(ticks, v)
				}
			}
		}
		return ticks
	}
	step := math.Pow(10, math.Floor(math.Log10((s.hi-s.lo)/float64(n))))
	for _, m := range []float64{1, 2, 5, 10} {
		if (s.hi-s.lo)/(step*m) <= float64(n) {
			step *= m
			break
		}
	}
	for i := math.Ceil(s.lo/step - 1e-9); i*step <= s.hi+step*1e-9; i++ {
		ticks = append(ticks, i*step+0) // + 0: no -0
	}
	return ticks
}
