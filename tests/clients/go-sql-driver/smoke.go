// go-sql-driver: text and prepared statements, types, transactions, wrong password, TLS, 100,000 rows.
package main

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-sql-driver/mysql"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func hold(holds bool, what string) {
	if !holds {
		panic(what)
	}
}

func fails(code uint16, err error) {
	var failure *mysql.MySQLError
	if !errors.As(err, &failure) || failure.Number != code {
		panic(fmt.Sprintf("wanted error %d, got %v", code, err))
	}
}

func open(user, password, options string) *sql.DB {
	address := os.Getenv("PRECINCT_HOST") + ":" + os.Getenv("PRECINCT_PORT")
	db, err := sql.Open("mysql", fmt.Sprintf("%s:%s@tcp(%s)/smoke?parseTime=true&%s", user, password, address, options))
	check(err)
	return db
}

func statements(options string) {
	db := open("root", "", options)
	defer db.Close()
	_, err := db.Exec("DROP TABLE IF EXISTS g")
	check(err)
	_, err = db.Exec("CREATE TABLE g (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, u BIGINT UNSIGNED, d DECIMAL(20,5), f DOUBLE, s VARCHAR(50), b BLOB, at DATETIME(6))")
	check(err)
	blob := make([]byte, 256)
	for i := range blob {
		blob[i] = byte(i)
	}
	at := time.Date(2018, 7, 1, 23, 59, 59, 999999000, time.UTC)
	result, err := db.Exec("INSERT INTO g (u, d, f, s, b, at) VALUES (?,?,?,?,?,?)", uint64(1)<<63+1, "-12345.67891", 0.1, "伟", blob, at)
	check(err)
	id, err := result.LastInsertId()
	check(err)
	hold(id == 1, "generated key")
	var (
		u    uint64
		d, s string
		f    float64
		b    []byte
		then time.Time
	)
	check(db.QueryRow("SELECT u, d, f, s, b, at FROM g WHERE id = ?", 1).Scan(&u, &d, &f, &s, &b, &then))
	hold(u == uint64(1)<<63+1 && d == "-12345.67891" && f == 0.1 && s == "伟" && bytes.Equal(b, blob) && then.Equal(at), fmt.Sprint(u, d, f, s, then))
	tx, err := db.Begin()
	check(err)
	_, err = tx.Exec("DELETE FROM g WHERE id = ?", 1)
	check(err)
	check(tx.Rollback())
	var count int
	check(db.QueryRow("SELECT COUNT(*) FROM g").Scan(&count))
	hold(count == 1, "rolled back")
	_, err = db.Exec("INSERT INTO g (id) VALUES (1)")
	fails(1062, err)
	_, err = db.Exec("SELEC 1")
	fails(1064, err)
}

func big(options string, arguments ...any) {
	db := open("app", os.Getenv("PRECINCT_PASSWORD"), options)
	defer db.Close()
	query := "SELECT id, name FROM big"
	if len(arguments) > 0 {
		query += " WHERE id > ?"
	}
	rows, err := db.Query(query, arguments...)
	check(err)
	var count, sum int64
	for rows.Next() {
		var id int64
		var name string
		check(rows.Scan(&id, &name))
		hold(name == fmt.Sprintf("row number %d", id), name)
		count, sum = count+1, sum+id
	}
	check(rows.Err())
	hold(count == 100000 && sum == 5000050000, fmt.Sprint(count, sum))
}

func main() {
	statements("")                       // server-side prepared statements
	statements("interpolateParams=true") // text protocol
	fails(1045, open("app", "wrong", "").Ping())
	check(open("app", os.Getenv("PRECINCT_PASSWORD"), "").Ping())
	check(open("legacy", os.Getenv("PRECINCT_PASSWORD"), "allowNativePasswords=true").Ping())
	big("tls=skip-verify")
	big("tls=skip-verify", 0)
	fmt.Println("ok")
}
