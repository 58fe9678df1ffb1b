// Report makes the tables and charts of README.md from what ./speed has
// measured:
//
//	go run -C bench ./speed -json /tmp/result.json
//	go run -C bench ./speed/report -readme ../README.md < /tmp/result.json
//
// It writes SVG files into charts, and puts the tables between two lines of the
// file that -readme names:
//
//	<!-- bench:begin -->
//	<!-- bench:end -->
//
// Without -readme, the tables go to standard output. What it writes depends on
// its input alone.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-affinity/affinity/bench/internal/chart"
	"github.com/go-affinity/affinity/bench/speed/internal/result"
)

func main() {
	err := run(os.Args[1:], os.Stdin, os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(args []string, stdin io.Reader, stdout io.Writer) error {
	f := flag.NewFlagSet("report", flag.ContinueOnError)
	readme := f.String("readme", "", "put the tables into this `file`")
	charts := f.String("charts", "charts", "write the charts into this `directory`")
	link := f.String("link", "bench/charts", "how the tables refer to that directory")
	if err := f.Parse(args); err != nil {
		return err
	}
	measured, err := result.Read(stdin)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*charts, 0o755); err != nil {
		return err
	}
	drawn := map[string]bool{}
	for _, c := range chartsOf(measured) {
		var b bytes.Buffer
		if err := chart.Bars(&b, c.BarChart); err != nil {
			return fmt.Errorf("%s: %w", c.file, err)
		}
		if err := os.WriteFile(filepath.Join(*charts, c.file), b.Bytes(), 0o644); err != nil {
			return err
		}
		drawn[c.file] = true
	}
	text := tables(measured, *link, drawn)
	if *readme == "" {
		_, err := stdout.Write(text)
		return err
	}
	old, err := os.ReadFile(*readme)
	if err != nil {
		return err
	}
	out, err := between(old, text)
	if err != nil {
		return fmt.Errorf("%s: %w", *readme, err)
	}
	return os.WriteFile(*readme, out, 0o644)
}

// Lines between which the tables go.
const (
	begin = "<!-- bench:begin -->\n"
	end   = "<!-- bench:end -->\n"
)

// between puts new between the two lines of page.
func between(page, text []byte) ([]byte, error) {
	head, rest, ok := bytes.Cut(page, []byte(begin))
	if !ok {
		return nil, fmt.Errorf("has no line %q", begin[:len(begin)-1])
	}
	_, tail, ok := bytes.Cut(rest, []byte(end))
	if !ok {
		return nil, fmt.Errorf("has no line %q after the other", end[:len(end)-1])
	}
	return bytes.Join([][]byte{head, []byte(begin), text, []byte(end), tail}, nil), nil
}
