// Report makes the tables and charts of README.md from what ./speed has
// measured:
//
//	go run -C bench ./speed -json /tmp/result.json
//	go run -C bench ./speed/report -readme ../README.md < /tmp/result.json
//
// It reads the result from the standard input, writes SVG files into the directory
// charts, and puts the tables between two lines of the file that -readme names:
//
//	<!-- bench:begin -->
//	<!-- bench:end -->
//
// Without -readme, the tables go to the standard output. What it writes depends on
// its input alone. If that is damaged, or the file has no such lines, it writes
// nothing.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

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
	readme := f.String("readme", "", "put the tables into this `file`, in place of those that are there")
	charts := f.String("charts", "charts", "write the charts into this `directory`")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: the result is read from the standard input, as in \"./speed/report < result.json\"", f.Arg(0))
	}
	measured, err := result.Read(stdin)
	if err != nil {
		return fmt.Errorf("standard input: %w (\"go run -C bench ./speed -json file\" writes one)", err)
	}

	// Nothing is written before all is known that is to be.
	type file struct {
		name string
		data []byte
	}
	var files []file
	drawn := map[string]bool{}
	for _, c := range chartsOf(measured) {
		files = append(files, file{filepath.Join(*charts, c.file), c.Bars(c.groups)})
		drawn[c.file] = true
	}
	text := tables(measured, drawn)
	if *readme != "" {
		old, err := os.ReadFile(*readme)
		if err != nil {
			return err
		}
		page, err := between(old, text)
		if err != nil {
			return fmt.Errorf("%s: %w", *readme, err)
		}
		files = append(files, file{*readme, page})
	}

	if err := os.MkdirAll(*charts, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		if err := os.WriteFile(f.name, f.data, 0o644); err != nil {
			return err
		}
	}
	if *readme == "" {
		_, err = stdout.Write(text)
	}
	return err
}

// Lines between which the tables go.
const (
	begin = "<!-- bench:begin -->\n"
	end   = "<!-- bench:end -->\n"
)

// between returns page with text in place of what is between its two lines.
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
