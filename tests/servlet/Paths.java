import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.apache.catalina.Context;
import org.apache.catalina.Wrapper;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;

/**
 * A real servlet container that tells of each request how it read its path. It listens twice on 127.0.0.1: on
 * the first port with Tomcat's own settings, on the second with those that accept most.
 */
public final class Paths extends HttpServlet {
    private static final String[] FOLDERS = {"admin", "v1", "public"};

    public static void main(String[] ports) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(ports[2]);
        Connector strict = connector(ports[0]);
        Connector lenient = connector(ports[1]);
        lenient.setEncodedSolidusHandling("decode");
        lenient.setAllowBackslash(true);
        lenient.setProperty("relaxedPathChars", "\"<>[\\]^`{|}");
        tomcat.setConnector(strict);
        tomcat.getService().addConnector(lenient);
        Context context = tomcat.addContext("", new File(ports[2]).getAbsolutePath());
        Wrapper wrapper = Tomcat.addServlet(context, "paths", new Paths());
        wrapper.addMapping("/");
        for (String folder : FOLDERS) {
            wrapper.addMapping("/" + folder + "/*");
        }
        tomcat.start();
        System.out.println("ready");
        tomcat.getServer().await();
    }

    private static Connector connector(String port) {
        Connector connector = new Connector();
        connector.setPort(Integer.parseInt(port));
        connector.setProperty("address", "127.0.0.1");
        return connector;
    }

    /** The decoded path by which the servlet was found, and what the container handed on as it came. */
    @Override
    protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
        String info = request.getPathInfo();
        String path = request.getServletPath() + (info == null ? "" : info);
        response.setContentType("text/plain; charset=utf-8");
        response.getOutputStream().write((path + "\n" + request.getRequestURI()).getBytes(StandardCharsets.UTF_8));
    }
}
