package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Some figures are those of a whole process: what its heap holds, what its garbage
// collector does. For these the program starts itself anew, with the arguments
// "child", what the child is to be, and what that needs. A table then answers
// questions on its standard input; a server writes its address to its standard
// output.

// child is the main function of such a process.
func child(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	switch args[0] {
	case "table":
		n, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		t, err := newTableChild(args[1], n)
		if err != nil {
			return err
		}
		return answer(stdin, stdout, t.answer)
	case "proxy":
		return serveProxy(ctx, stdout, args[1])
	case "upstream":
		return serveUpstream(ctx, stdout)
	}
	return fmt.Errorf("no such child: %s", args[0])
}

// answer reads questions, one a line, and writes the answers as JSON, one a line.
// It ends with its input, or with the first question that f has no answer to.
func answer(r io.Reader, w io.Writer, f func(question string) (any, error)) error {
	e := json.NewEncoder(w)
	for lines := bufio.NewScanner(r); lines.Scan(); {
		a, err := f(lines.Text())
		if err != nil {
			return err
		}
		if err := e.Encode(a); err != nil {
			return err
		}
	}
	return nil
}

// A process is a child, or a gateway, seen from its parent.
type process struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

// start starts a child, which shares our standard error and ends with the run
// at the latest.
func (s *setting) start(args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return s.startProgram(os.Stderr, self, append([]string{"child"}, args...)...)
}

// startProgram starts the program at path, which ends with the run at the
// latest. If stderr is nil, what it says there is read with the rest.
func (s *setting) startProgram(stderr io.Writer, path string, args ...string) (*process, error) {
	p := &process{name: strings.Join(args, " "), cmd: exec.CommandContext(s, path, args...)}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if p.cmd.Stderr = stderr; stderr == nil {
		p.cmd.Stderr = p.cmd.Stdout
	}
	p.out = bufio.NewReader(out)
	return p, p.cmd.Start()
}

// ask asks the child and decodes its answer.
func (p *process) ask(question string, answer any) error {
	if _, err := fmt.Fprintln(p.in, question); err != nil {
		return fmt.Errorf("%s: %s: %w", p.name, question, err)
	}
	line, err := p.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, answer)
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", p.name, question, err)
	}
	return nil
}

// address returns where the process listens, which it says in its first line, as the
// gateway does in its log. What it says after that is not read by anybody. A process that
// has not said so within limit is ended.
func (p *process) address(limit time.Duration) (string, error) {
	late := time.AfterFunc(limit, func() { p.cmd.Process.Kill() })
	line, err := p.out.ReadString('\n')
	if !late.Stop() {
		return "", fmt.Errorf("%s: has not said within %v where it listens: try again where less else is running, or start it by hand to see why", p.name, limit)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", p.name, err)
	}
	go io.Copy(io.Discard, p.out) // or it could not say more
	_, addr, ok := strings.Cut(strings.TrimSpace(line), "addr=")
	if !ok {
		return "", errors.New(line)
	}
	return addr, nil
}

// stop ends the process and waits for it.
func (p *process) stop() {
	p.in.Close()
	p.cmd.Process.Signal(os.Interrupt)
	p.cmd.Wait()
}
