// SPDX-License-Identifier: Apache-2.0

// YAML as kubectl and the API server read it: JSON strings on standard input, for each a line with {"json": TEXT} or {"error": WORDS}.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"sigs.k8s.io/yaml"
)

type answer struct {
	JSON  string `json:"json"`
	Error string `json:"error"`
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	texts := json.NewDecoder(os.Stdin)
	for {
		var text string
		if err := texts.Decode(&text); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		var said answer
		if converted, err := yaml.YAMLToJSON([]byte(text)); err != nil {
			said.Error = err.Error()
		} else {
			said.JSON = string(converted)
		}
		line, _ := json.Marshal(said)
		fmt.Fprintln(out, string(line))
	}
	if err := out.Flush(); err != nil {
		os.Exit(1)
	}
}
