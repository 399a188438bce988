import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.sql.Types;
import java.util.Arrays;

/** Connector/J: client and server prepared statements, types, batches, transactions, wrong password, TLS, 100,000 rows. */
public class Smoke {
  static final String HOST = System.getenv("PRECINCT_HOST") + ":" + System.getenv("PRECINCT_PORT");
  static final String PASSWORD = System.getenv("PRECINCT_PASSWORD");

  static Connection connect(String user, String password, String options) throws SQLException {
    return DriverManager.getConnection("jdbc:mysql://" + HOST + "/smoke?" + options, user, password);
  }

  static void check(boolean holds, String what) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }

  interface Work {
    void run() throws SQLException;
  }

  static void fails(int code, Work work) {
    try {
      work.run();
    } catch (SQLException error) {
      check(error.getErrorCode() == code, "wanted " + code + ", got " + error.getErrorCode() + ": " + error.getMessage());
      return;
    }
    throw new AssertionError("should have failed with " + code);
  }

  static void statements(String options) throws SQLException {
    try (Connection c = connect("root", "", options); Statement s = c.createStatement()) {
      s.execute("DROP TABLE IF EXISTS j");
      s.execute("CREATE TABLE j (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, u BIGINT UNSIGNED, d DECIMAL(20,5), f DOUBLE, s VARCHAR(50), b BLOB, at DATETIME(6))");
      byte[] bytes = new byte[256];
      for (int i = 0; i < 256; i++) {
        bytes[i] = (byte) i;
      }
      String insert = "INSERT INTO j (u, d, f, s, b, at) VALUES (?,?,?,?,?,?)";
      try (PreparedStatement p = c.prepareStatement(insert, Statement.RETURN_GENERATED_KEYS)) {
        p.setBigDecimal(1, new BigDecimal("18446744073709551615"));
        p.setBigDecimal(2, new BigDecimal("-12345.67891"));
        p.setDouble(3, 0.1);
        p.setString(4, "伟");
        p.setBytes(5, bytes);
        p.setTimestamp(6, Timestamp.valueOf("2018-07-01 23:59:59.999999"));
        check(p.executeUpdate() == 1, "one row inserted");
        try (ResultSet keys = p.getGeneratedKeys()) {
          check(keys.next() && keys.getInt(1) == 1, "generated key");
        }
        for (int i = 1; i <= 6; i++) {
          p.setNull(i, Types.NULL);
        }
        for (int i = 0; i < 10; i++) {
          p.addBatch();
        }
        check(p.executeBatch().length == 10, "batch");
      }
      try (PreparedStatement p = c.prepareStatement("SELECT * FROM j WHERE id = ?")) {
        p.setInt(1, 1);
        try (ResultSet r = p.executeQuery()) {
          check(r.next(), "a row");
          check(r.getBigDecimal("u").toString().equals("18446744073709551615"), "unsigned");
          check(r.getBigDecimal("d").equals(new BigDecimal("-12345.67891")), "decimal");
          check(r.getDouble("f") == 0.1 && r.getString("s").equals("伟"), "double and text");
          check(Arrays.equals(r.getBytes("b"), bytes), "bytes");
          check(r.getTimestamp("at").equals(Timestamp.valueOf("2018-07-01 23:59:59.999999")), "datetime");
          check(r.getMetaData().getTableName(1).equals("j"), "metadata");
        }
        p.setInt(1, 2);
        try (ResultSet r = p.executeQuery()) {
          check(r.next() && r.getString("s") == null && r.getObject("u") == null, "NULLs");
        }
      }
      c.setAutoCommit(false);
      check(s.executeUpdate("DELETE FROM j") == 11, "deleted rows");
      c.rollback();
      try (ResultSet r = s.executeQuery("SELECT COUNT(*) FROM j")) {
        check(r.next() && r.getInt(1) == 11, "rolled back");
      }
      c.commit();
      fails(1062, () -> s.executeUpdate("INSERT INTO j (id) VALUES (1)"));
      fails(1064, () -> s.executeQuery("SELECT FROM"));
    }
  }

  static void big(String options) throws SQLException {
    try (Connection c = connect("app", PASSWORD, options); Statement s = c.createStatement()) {
      try (ResultSet r = s.executeQuery("SELECT id, name, amount FROM big")) {
        long rows = 0;
        long sum = 0;
        while (r.next()) {
          rows++;
          sum += r.getInt(1);
          check(r.getString(2).equals("row number " + r.getInt(1)), "name");
        }
        check(rows == 100000 && sum == 5000050000L, rows + " rows, sum " + sum);
      }
    }
  }

  public static void main(String[] arguments) throws SQLException {
    String plain = "sslMode=DISABLED&allowPublicKeyRetrieval=true";
    statements(plain + "&useServerPrepStmts=false");
    statements(plain + "&useServerPrepStmts=true&cachePrepStmts=true");
    fails(1045, () -> connect("app", "wrong", plain).close());
    connect("app", PASSWORD, plain).close();
    big("sslMode=REQUIRED");
    big("sslMode=REQUIRED&useServerPrepStmts=true");
    System.out.println("ok");
  }
}
